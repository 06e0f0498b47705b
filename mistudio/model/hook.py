"""Run a model up to a hook point and no further."""

import torch
from torch import Tensor

from mistudio.errors import ModelError
from mistudio.model.families import Tap, resolve
from mistudio.model.hook_point import STREAM, Z
from mistudio.model.load import LoadedModel


class _Reached(Exception):
    """Unwinds the forward pass once the hook point has been computed."""


@torch.inference_mode()
def activations_at(loaded: LoadedModel, hook_point: str, tokens: Tensor, mask: Tensor, *,
                   center: bool = False, fold_value_biases: bool = False) -> Tensor:
    """Activations at the hook point. Nothing that comes after it is run: no rest of its block, no later block, no LM
    head.

    Args:
        hook_point: a name of ``mistudio.model.hook_point``.
        tokens: ``[batch, pos]`` int64.
        mask: ``[batch, pos]`` bool, false on padding.
        center: take each position's mean over ``d_in`` away. TransformerLens's ``center_writing_weights`` does this to
            every weight that writes to the residual stream (the output of a model with LayerNorm stays the same), so
            SAEs trained on such a model expect it. Without effect at ``layers.N.attn.z``, which is no such place.
        fold_value_biases: at ``layers.N.attn.z``, take the value bias away. TransformerLens's option of this name (on
            in its ``from_pretrained``) moves that constant into the projection's bias. Without effect elsewhere.

    Returns:
        ``[batch, pos, d_in]`` on the model's device, in its dtype (float32 when something is taken away). ``d_in`` is
        ``d_model``, but heads times head size at ``layers.N.attn.z``.

    Raises:
        ModelError: the model has no such hook point, or its forward pass does not reach it.
    """
    point, tap = resolve(loaded.model, hook_point)
    found = _run_to(loaded, tap, tokens, mask, hook_point)
    if center and (point.layer is None or point.place in STREAM):
        return found.float() - found.float().mean(-1, keepdim=True)
    if fold_value_biases and point.place == Z:
        return found.float() - value_bias(loaded, hook_point)
    return found


@torch.inference_mode()
def value_bias(loaded: LoadedModel, hook_point: str) -> Tensor:
    """What the value biases add at ``layers.N.attn.z``: ``[d_in]`` float32, the same at every position.

    Attention weights add up to 1, so with hidden states of zero, whose values are the biases, the heads' outputs are
    the biases too. This holds wherever a family keeps them, and however many heads share one.
    """
    if hook_point not in loaded.value_biases:
        tap = resolve(loaded.model, hook_point)[1]
        name = next(name for name, module in loaded.model.named_modules() if module is tap.module)
        attention = loaded.model.get_submodule(name.rpartition(".")[0])
        handle = attention.register_forward_pre_hook(_zero_hidden_states, with_kwargs=True)
        token = torch.zeros((1, 1), dtype=torch.int64)
        try:
            found = _run_to(loaded, tap, token, torch.ones_like(token, dtype=torch.bool), hook_point)
        finally:
            handle.remove()
        loaded.value_biases[hook_point] = found[0, 0].float()
    return loaded.value_biases[hook_point]


def _zero_hidden_states(_module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    if args:
        return (torch.zeros_like(args[0]), *args[1:]), kwargs
    return args, kwargs | {"hidden_states": torch.zeros_like(kwargs["hidden_states"])}


def _run_to(loaded: LoadedModel, tap: Tap, tokens: Tensor, mask: Tensor, hook_point: str) -> Tensor:
    """What is at the tap in a forward pass that ends there, ``[batch, pos, d_in]``."""
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
    return found[0]


def width_at(loaded: LoadedModel, hook_point: str) -> int:
    """The width ``d_in`` of the activations at a hook point, found by running one token.

    Raises:
        ModelError: as ``activations_at``.
    """
    token = torch.zeros((1, 1), dtype=torch.int64)
    return activations_at(loaded, hook_point, token, torch.ones_like(token, dtype=torch.bool)).shape[-1]
