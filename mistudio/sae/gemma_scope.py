"""Gemma Scope: ``params.npz`` alone (Gemma 2), or ``params.safetensors`` beside ``config.json`` (Gemma 3).

JumpReLU SAEs whose b_dec is not subtracted from the input.
"""

import re
from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import read_config, read_tensors, take


def read_gemma_scope(folder: Path) -> SAE:
    """Read either form; names in the files are upper or lower case.

    Raises:
        SAEError: a file is broken, or a tensor is missing or of the wrong shape.
    """
    path = folder / "params.npz"
    path = path if path.exists() else folder / "params.safetensors"
    raw, hashed = read_tensors(path)
    tensors = {name.lower(): value for name, value in raw.items()}
    config = read_config(folder / "config.json") if (folder / "config.json").exists() else {}
    d_in, d_sae = take(tensors, "w_enc", None, None).shape
    return SAE(
        architecture="jumprelu", W_enc=tensors["w_enc"], W_dec=take(tensors, "w_dec", d_sae, d_in),
        b_enc=take(tensors, "b_enc", d_sae), b_dec=take(tensors, "b_dec", d_in),
        threshold=take(tensors, "threshold", d_sae), subtract_b_dec=False, hash=hashed,
        hook_point=_hook_point(config.get("hf_hook_point_in"), folder))


def _hook_point(named: str | None, folder: Path) -> str | None:
    """From the config (``model.layers.12.output``), or a folder such as ``layer_12/width_16k/average_l0_82``."""
    found = re.fullmatch(r"model\.layers\.(\d+)\.output", named or "") or re.search(r"layer_(\d+)(?=/|$)", str(folder))
    return f"layers.{found[1]}" if found else named
