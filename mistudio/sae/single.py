"""SAEs in one file: Goodfire's and Qwen-Scope's ``.pt``/``.pth``, and plain safetensors with the canonical names."""

import re
from pathlib import Path

from torch import Tensor

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import number, read_config, read_tensors, take

LINEAR = {"W_enc": "encoder_linear.weight", "W_dec": "decoder_linear.weight", "b_enc": "encoder_linear.bias",
          "b_dec": "decoder_linear.bias"}


def read_torch_file(path: Path) -> SAE:
    """Goodfire (linear layers, ReLU) or Qwen-Scope (W_enc ``[d_sae, d_in]``, W_dec ``[d_in, d_sae]``, TopK).

    k stands in a ``config.json`` beside the file, or in a name such as ``...-L0_50``; without either it is a ReLU SAE.
    Neither subtracts b_dec from the input.

    Raises:
        SAEError: the file is broken, or a tensor is missing or of the wrong shape.
    """
    tensors, hashed = read_tensors(path)
    names = LINEAR if LINEAR["W_enc"] in tensors else {name: name for name in LINEAR}
    d_sae, d_in = take(tensors, names["W_enc"], None, None).shape
    config = read_config(path.parent / "config.json") if (path.parent / "config.json").exists() else {}
    named = re.search(r"L0_(\d+)", str(path))
    k = number(config, "k") if "k" in config else int(named[1]) if named else None
    layer = re.search(r"(?:layer|-l)[_.]?(\d+)", path.name)
    return SAE(
        architecture="topk" if k else "standard", k=k, W_enc=tensors[names["W_enc"]].T.contiguous(),
        W_dec=take(tensors, names["W_dec"], d_in, d_sae).T.contiguous(), b_enc=take(tensors, names["b_enc"], d_sae),
        b_dec=take(tensors, names["b_dec"], d_in), subtract_b_dec=False, hash=hashed,
        hook_point=f"layers.{layer[1]}" if layer else None)


def read_plain(path: Path) -> SAE:
    """Canonical tensors in a safetensors file: JumpReLU with a ``threshold``, else ReLU; b_dec is subtracted.

    Raises:
        SAEError: the file is broken, or a tensor is missing or of the wrong shape.
    """
    tensors, hashed = read_tensors(path)
    d_in, d_sae = take(tensors, "W_enc", None, None).shape
    threshold: Tensor | None = take(tensors, "threshold", d_sae) if "threshold" in tensors else None
    return SAE(
        architecture="standard" if threshold is None else "jumprelu", threshold=threshold, W_enc=tensors["W_enc"],
        W_dec=take(tensors, "W_dec", d_sae, d_in), b_enc=take(tensors, "b_enc", d_sae),
        b_dec=take(tensors, "b_dec", d_in), hash=hashed)
