"""Run a model up to a hook point and no further."""

import torch
from torch import Tensor

from mistudio.errors import ModelError
from mistudio.model.families import resolve
from mistudio.model.hook_point import STREAM
from mistudio.model.load import LoadedModel


class _Reached(Exception):
    """Unwinds the forward pass once the hook point has been computed."""


@torch.inference_mode()
def activations_at(loaded: LoadedModel, hook_point: str, tokens: Tensor, mask: Tensor, *,
                   center: bool = False) -> Tensor:
    """Activations at the hook point. Nothing that comes after it is run: no rest of its block, no later block, no LM
    head.

    Args:
        hook_point: a name of ``mistudio.model.hook_point``.
        tokens: ``[batch, pos]`` int64.
        mask: ``[batch, pos]`` bool, false on padding.
        center: take each position's mean over ``d_in`` away. TransformerLens's ``center_writing_weights`` does this to
            every weight that writes to the residual stream (the output of a model with LayerNorm stays the same), so
            SAEs trained on such a model expect it. Without effect at ``layers.N.attn.z``, which is no such place.

    Returns:
        ``[batch, pos, d_in]`` on the model's device, in its dtype (float32 when centred). ``d_in`` is ``d_model``, but
        heads times head size at ``layers.N.attn.z``.

    Raises:
        ModelError: the model has no such hook point, or its forward pass does not reach it.
    """
    point, tap = resolve(loaded.model, hook_point)
    found: list[Tensor] = []

    def stop(_module, args, kwargs, output=None):
        value = output if tap.side == "output" else args[0] if args else kwargs["hidden_states"]
        found.append(value[0] if isinstance(value, tuple) else value)
        raise _Reached

    register = tap.module.register_forward_hook if tap.side == "output" else tap.module.register_forward_pre_hook
    handle = register(stop, with_kwargs=True)
    try:
        loaded.model(input_ids=tokens.to(loaded.device), attention_mask=mask.to(loaded.device), use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    if not found:
        raise ModelError(f"The forward pass never reached hook point {hook_point!r}.", "Choose another hook point.")
    if center and (point.layer is None or point.place in STREAM):
        return found[0].float() - found[0].float().mean(-1, keepdim=True)
    return found[0]


def width_at(loaded: LoadedModel, hook_point: str) -> int:
    """The width ``d_in`` of the activations at a hook point, found by running one token.

    Raises:
        ModelError: as ``activations_at``.
    """
    token = torch.zeros((1, 1), dtype=torch.int64)
    return activations_at(loaded, hook_point, token, torch.ones_like(token, dtype=torch.bool)).shape[-1]
