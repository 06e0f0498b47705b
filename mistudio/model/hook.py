"""Run a model up to a hook point and no further."""

import torch
from torch import Tensor, nn

from mistudio.errors import ModelError
from mistudio.model.load import LoadedModel


class _Reached(Exception):
    """Unwinds the forward pass once the hook point has been computed."""


def find_module(model: nn.Module, hook_point: str) -> nn.Module:
    """The module whose output is the hook point.

    ``layers.{i}`` names the i-th block of any supported family; a full module path works too.

    Raises:
        ModelError: there is no such module.
    """
    base = getattr(model, "model", None) or getattr(model, "transformer", None) or getattr(model, "gpt_neox", model)
    blocks = getattr(base, "layers", None) or getattr(base, "h", None)
    if hook_point.startswith("layers.") and blocks is not None:
        tail = hook_point.removeprefix("layers.")
        if tail.isdigit():
            if int(tail) >= len(blocks):
                raise ModelError(f"Hook point {hook_point} does not exist: the model has {len(blocks)} blocks.",
                                 f"Use layers.0 to layers.{len(blocks) - 1}.")
            return blocks[int(tail)]
    try:
        return model.get_submodule(hook_point)
    except AttributeError as error:
        raise ModelError(f"Hook point {hook_point!r} does not exist in this model.",
                         "Use layers.N for the residual stream after block N.") from error


@torch.inference_mode()
def activations_at(loaded: LoadedModel, hook_point: str, tokens: Tensor, mask: Tensor) -> Tensor:
    """Activations at the hook point; later blocks and the LM head are never run.

    Args:
        tokens: ``[batch, pos]`` int64.
        mask: ``[batch, pos]`` bool, false on padding.

    Returns:
        ``[batch, pos, d_in]`` in the model's dtype, on its device.
    """
    found: list[Tensor] = []

    def stop(_module, _inputs, output):
        found.append(output[0] if isinstance(output, tuple) else output)
        raise _Reached

    handle = find_module(loaded.model, hook_point).register_forward_hook(stop)
    try:
        loaded.model(input_ids=tokens.to(loaded.device), attention_mask=mask.to(loaded.device), use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    if not found:
        raise ModelError(f"The forward pass never reached hook point {hook_point!r}.", "Choose another hook point.")
    return found[0]
