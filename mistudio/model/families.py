"""Where each model family keeps its blocks, and the parts of a block."""

from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from mistudio.errors import ModelError
from mistudio.model.hook_point import ATTN, INPUT, KNOWN_FORMS, MID, MLP, OUTPUT, HookPoint, Z, parse_hook_point


class Parts(NamedTuple):
    """Modules of a block, by their path in it.

    attn and mlp: their output is what the block adds to the residual stream; z: the attention's output projection, its
    input is read; mid: its input is the stream between attention and MLP, None where both read the block's input.
    """

    attn: str
    z: str
    mlp: str
    mid: str | None


LLAMA = Parts("self_attn", "self_attn.o_proj", "mlp", "post_attention_layernorm")
# Gemma 2 and 3 normalise what attention and MLP give before it is added; TransformerLens reads it after that norm.
# Llama's post_attention_layernorm has the same name, but stands before the MLP.
GEMMA = Parts("post_attention_layernorm", "self_attn.o_proj", "post_feedforward_layernorm",
              "pre_feedforward_layernorm")
FAMILIES = {
    "gpt2": Parts("attn", "attn.c_proj", "mlp", "ln_2"),
    "gpt_neo": Parts("attn", "attn.attention.out_proj", "mlp", "ln_2"),
    "gpt_neox": Parts("attention", "attention.dense", "mlp", None),
    "llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA, "qwen3": LLAMA, "gemma": LLAMA,
    "gemma2": GEMMA, "gemma3_text": GEMMA,
}


class Tap(NamedTuple):
    """Where a hook point is read: the module, and whether it is its ``input`` or its ``output``."""

    module: nn.Module
    side: str


def decoder(model: PreTrainedModel) -> nn.Module:
    """The text decoder: what holds embeddings, blocks and final norm."""
    return model.get_decoder()


def blocks(model: PreTrainedModel) -> nn.ModuleList:
    """The blocks in order.

    Raises:
        ModelError: the model keeps them where no known family does.
    """
    base = decoder(model)
    for name in ("layers", "h", "blocks"):
        if isinstance(found := getattr(base, name, None), nn.ModuleList):
            return found
    raise ModelError(f"The blocks of a {model.config.model_type} model were not found.",
                     "Name the path of a module of the model as the hook point.")


def drop_blocks_behind(model: PreTrainedModel, point: HookPoint) -> None:
    """Free the weights of all blocks behind a hook point: the forward pass never comes to them."""
    if point.layer is not None:
        every = blocks(model)
        for number in range(point.layer + 1, len(every)):
            every[number] = nn.Identity()


def parts(model: PreTrainedModel) -> Parts | None:
    """The parts of the model's blocks; None for a family that is not listed."""
    found = FAMILIES.get(model.config.get_text_config().model_type)
    if found and not getattr(model.config, "use_parallel_residual", True):
        found = found._replace(mid="post_attention_layernorm")
    return found


def resolve(model: PreTrainedModel, name: str) -> tuple[HookPoint, Tap]:
    """The hook point that ``name`` means in this model, and where it is read.

    A module's path from the model, its text decoder or its ``base_model``; with ``.input`` appended, what goes into the
    module is read. One of the known places in disguise (``transformer.h.9``) gets that place's name.

    Raises:
        ModelError: there is no such place.
    """
    point = parse_hook_point(name)
    if point.layer is not None:
        return point, _tap(model, point)
    for path, side in _readings(point.place):
        for root in (model, decoder(model)):
            try:
                tap = Tap(root.get_submodule(path), side)
            except AttributeError:
                continue
            return _known(model, tap) or point, tap
    raise ModelError(f"Hook point {name!r} does not exist in this model.", KNOWN_FORMS)


def _tap(model: PreTrainedModel, point: HookPoint) -> Tap:
    every = blocks(model)
    if point.layer >= len(every):
        raise ModelError(f"Hook point {point} does not exist: the model has {len(every)} blocks.",
                         f"Use layers.0 to layers.{len(every) - 1}.")
    block = every[point.layer]
    if point.place in (OUTPUT, INPUT):
        return Tap(block, point.place)
    family, kind = parts(model), model.config.get_text_config().model_type
    if family is None:
        raise ModelError(f"Where a {kind} model has its attention and MLP outputs is not known.",
                         f"Name the path of the module instead. They are known for {', '.join(FAMILIES)}.")
    path = {ATTN: family.attn, Z: family.z, MLP: family.mlp, MID: family.mid}[point.place]
    if path is None:
        raise ModelError(f"Hook point {point} does not exist: in a {kind} model attention and MLP both read the "
                         "block's input.", f"Use layers.{point.layer} or layers.{point.layer}.input.")
    return Tap(block.get_submodule(path), "input" if point.place in (Z, MID) else "output")


def _readings(name: str) -> list[tuple[str, str]]:
    """What a module's path can mean, as path and side: a module may itself be called ``output``."""
    path, _, side = name.rpartition(".")
    return [(each, at) for each, at in ((name, OUTPUT), (path, side)) if each and at in (INPUT, OUTPUT)]


def _known(model: PreTrainedModel, tap: Tap) -> HookPoint | None:
    family = parts(model)
    places = [tap.side]
    if family:
        places += (ATTN, MLP) if tap.side == OUTPUT else (Z, MID) if family.mid else (Z,)
    every = (HookPoint(layer, place) for layer in range(len(blocks(model))) for place in places)
    return next((point for point in every if _tap(model, point) == tap), None)
