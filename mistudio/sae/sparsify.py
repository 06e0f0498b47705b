"""sparsify (EleutherAI): ``cfg.json`` beside ``sae.safetensors``. W_dec is canonical, the encoder transposed."""

import re
from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import number, read_config, read_tensors, take, unsupported


def read_sparsify(folder: Path) -> SAE:
    """Read one SAE or transcoder; b_dec is subtracted from the input unless it is a transcoder.

    The folder is named after a module, by its path in the model's ``base_model``. An SAE was trained on that module's
    output, a transcoder on its input (its decoder then gives the output).

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
    transcoder = bool(config.get("transcode", False))
    W_dec = take(tensors, "W_dec", d_sae, None if transcoder else d_in)
    return SAE(
        architecture="topk", k=number(config, "k"), W_enc=tensors["encoder.weight"].T.contiguous(),
        W_dec=W_dec, b_enc=take(tensors, "encoder.bias", d_sae), b_dec=take(tensors, "b_dec", W_dec.shape[1]),
        subtract_b_dec=not transcoder, hash=hashed, hook_point=_hook_point(folder, transcoder))


def _hook_point(folder: Path, transcoder: bool) -> str | None:
    """The module's path, never our ``layers.N.mlp``: what Gemma's MLP module gives is normalised before it is added."""
    name = folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else folder.name
    if not re.fullmatch(r"(\w+\.)*(layers|h|blocks)\.\d+(\.\w+)*", name):
        return None
    return f"base_model.{name}" + (".input" if transcoder else "")
