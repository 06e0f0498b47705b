"""How directions at a hook point reach the unembedding, for the logit lens."""

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from mistudio.model.families import decoder, parts, resolve
from mistudio.model.hook_point import Z
from mistudio.model.load import LoadedModel

FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


@torch.inference_mode()
def to_unembedding(loaded: LoadedModel, hook_point: str, directions: Tensor) -> Tensor | None:
    """Directions ``[n, d_in]`` at a hook point as the unembedding meets them, ``[n, d_model]`` float32.

    From ``layers.N.attn.z`` they go through the attention's output projection; all through the final norm's linear
    part. None for a module's path of no known place: what its output does to the residual stream is not known.

    Raises:
        ModelError: there is no such hook point.
    """
    point, tap = resolve(loaded.model, hook_point)
    if point.layer is None:
        return None
    rows = directions.float().to(loaded.device)
    if point.place == Z:
        weight = tap.module.weight.float()
        rows = rows @ (weight if isinstance(tap.module, Conv1D) else weight.T)
        after = resolve(loaded.model, str(point._replace(place="attn")))[1].module
        if "norm" in parts(loaded.model).attn:
            rows = rows * _gain(after, rows.shape[1], loaded)
    base = decoder(loaded.model)
    norm = next((getattr(base, name) for name in FINAL_NORMS if hasattr(base, name)), None)
    if norm is None:
        return rows
    if isinstance(norm, nn.LayerNorm):
        rows = rows - rows.mean(-1, keepdim=True)
    return rows * _gain(norm, rows.shape[1], loaded)


def _gain(norm: nn.Module, width: int, loaded: LoadedModel) -> Tensor:
    """``[width]`` what the norm multiplies with: its weight, or (Gemma) one more than it.

    It is found by trying: an input of plus and minus one has mean 0 and mean square 1, and only gain and bias are left.
    """
    probe = torch.ones(width, dtype=loaded.model.dtype, device=loaded.device)
    probe[1::2] = -1
    return ((norm(probe) - norm(-probe)) / 2 * probe).float()
