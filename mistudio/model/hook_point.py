"""The names of hook points. Ours and TransformerLens's lead to one block and one place in it.

| ours | TransformerLens | what is read |
|---|---|---|
| ``layers.9`` | ``blocks.9.hook_resid_post`` | the residual stream after block 9 |
| ``layers.9.input`` | ``blocks.9.hook_resid_pre`` | the stream before it; of block 0, the (scaled) embeddings |
| ``layers.9.mid`` | ``blocks.9.hook_resid_mid`` | the residual stream between attention and MLP |
| ``layers.9.attn`` | ``blocks.9.hook_attn_out`` | what attention adds to the stream |
| ``layers.9.attn.z`` | ``blocks.9.attn.hook_z`` | the heads' outputs side by side, before the output projection |
| ``layers.9.mlp`` | ``blocks.9.hook_mlp_out`` | what the MLP adds to the stream |
"""

import re
from typing import NamedTuple

OUTPUT, INPUT, MID, ATTN, Z, MLP = PLACES = "output", "input", "mid", "attn", "attn.z", "mlp"
# The places that hold or add to the residual stream; the others have a space of their own.
STREAM = (OUTPUT, INPUT, MID, ATTN, MLP)
KNOWN_FORMS = (
    "Known forms: layers.N (the residual stream after block N), layers.N.input, layers.N.mid, layers.N.attn, "
    "layers.N.attn.z, layers.N.mlp, their TransformerLens names (blocks.N.hook_resid_post, blocks.N.hook_resid_pre, "
    "blocks.N.hook_resid_mid, blocks.N.hook_attn_out, blocks.N.attn.hook_z, blocks.N.hook_mlp_out), or the path of a "
    "module of the model (with .input for what goes into it).")

_TRANSFORMER_LENS = {"hook_resid_post": OUTPUT, "hook_resid_pre": INPUT, "hook_resid_mid": MID, "hook_attn_out": ATTN,
                     "attn.hook_z": Z, "hook_z": Z, "hook_mlp_out": MLP}
_DICTIONARY_LEARNING = {"resid_post_layer": OUTPUT, "attention_out_layer": ATTN, "mlp_out_layer": MLP}


class HookPoint(NamedTuple):
    """A place (one of ``PLACES``) in a block, or, with ``layer`` None, the path of a module whose output is read.

    A path that ends in ``.input`` says that the module's input is read.
    """

    layer: int | None
    place: str

    def __str__(self) -> str:
        """Our name of it."""
        if self.layer is None:
            return self.place
        return f"layers.{self.layer}" + (f".{self.place}" if self.place != OUTPUT else "")

    @property
    def transformer_lens(self) -> str:
        """TransformerLens's name of it; of a module, its path."""
        if self.layer is None:
            return self.place
        return f"blocks.{self.layer}." + next(name for name, place in _TRANSFORMER_LENS.items() if place == self.place)


def parse_hook_point(name: str) -> HookPoint:
    """The hook point that a name of any vocabulary means; a name of none is taken for a module's path."""
    name = name.strip()
    if found := re.fullmatch(r"layers\.(\d{1,5})(?:\.(.+))?", name):
        place = found[2] or OUTPUT
        if place in PLACES:
            return HookPoint(int(found[1]), place)
    elif (found := re.fullmatch(r"blocks\.(\d{1,5})\.(.+)", name)) and found[2] in _TRANSFORMER_LENS:
        return HookPoint(int(found[1]), _TRANSFORMER_LENS[found[2]])
    elif (found := re.fullmatch(r"(\w+?)_(\d{1,5})", name)) and found[1] in _DICTIONARY_LEARNING:
        return HookPoint(int(found[2]), _DICTIONARY_LEARNING[found[1]])
    return HookPoint(None, name)
