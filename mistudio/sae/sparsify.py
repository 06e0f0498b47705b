"""sparsify (EleutherAI): ``cfg.json`` beside ``sae.safetensors``. W_dec is canonical, the encoder transposed."""

import re
from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import number, read_config, read_tensors, take, unsupported


def read_sparsify(folder: Path) -> SAE:
    """Read one SAE or transcoder; b_dec is subtracted from the input unless it is a transcoder.

    Raises:
        SAEError: a file is broken, it does what cannot be run here, or a tensor does not fit.
    """
    config = read_config(folder / "cfg.json")
    tensors, hashed = read_tensors(folder / "sae.safetensors")
    activation = config.get("activation", "topk")
    if activation != "topk":
        raise unsupported(f"activation {activation!r}", "topk")
    if config.get("signed") or "W_skip" in tensors:
        raise unsupported("with signed activations or a skip connection", "unsigned SAEs and transcoders without skip")
    d_in = number(config, "d_in")
    d_sae, _d_in = take(tensors, "encoder.weight", None, d_in).shape
    found = re.search(r"layers\.\d+(\.mlp|\.attn)?", folder.name)
    return SAE(
        architecture="topk", k=number(config, "k"), W_enc=tensors["encoder.weight"].T.contiguous(),
        W_dec=take(tensors, "W_dec", d_sae, None), b_enc=take(tensors, "encoder.bias", d_sae),
        b_dec=take(tensors, "b_dec", None), subtract_b_dec=not config.get("transcode", False), hash=hashed,
        hook_point=found[0] if found else None)
