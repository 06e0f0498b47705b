"""Gemma Scope: ``params.npz`` alone (Gemma 2), or ``params.safetensors`` beside ``config.json`` (Gemma 3).

JumpReLU SAEs whose b_dec is not subtracted from the input.
"""

import re
from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import read_config, read_tensors, take, unsupported, word

# What follows ``layers.N`` by the site that repository or folder name. A transcoder's input has no name of ours.
SITES = {"res": "", "resid_post": "", "att": ".attn.z", "attn_out": ".attn.z", "mlp": ".mlp", "mlp_out": ".mlp",
         "transcoder": None, "transcoders": None}


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
    if "affine_skip_connection" in tensors:
        raise unsupported("with an affine skip connection", "SAEs, and transcoders without one")
    _d_in, d_sae = take(tensors, "w_enc", None, None).shape
    W_dec = take(tensors, "w_dec", d_sae, None)
    return SAE(
        architecture="jumprelu", W_enc=tensors["w_enc"], W_dec=W_dec,
        b_enc=take(tensors, "b_enc", d_sae), b_dec=take(tensors, "b_dec", W_dec.shape[1]),
        threshold=take(tensors, "threshold", d_sae), subtract_b_dec=False, hash=hashed,
        hook_point=_hook_point(word(config, "hf_hook_point_in"), folder.resolve().as_posix()))


def _hook_point(named: str | None, path: str) -> str | None:
    """From Gemma 3's config, a module's path from the text model; else from names of repository and folders.

    Those are ``gemma-scope-2b-pt-mlp`` with ``layer_12/width_16k/average_l0_82``; for Gemma 3, ``mlp_out/layer_12_...``
    """
    if named:
        return re.sub(r"^(layers\.\d+)\.output$", r"\1", named.removeprefix("model."))
    layer = re.search(r"/layer_(\d+)(?=[/_]|$)", path)
    sites = re.findall(rf"(?:gemma-scope-[^/]*-|/)({'|'.join(SITES)})(?:_all)?(?=/|$)", path)
    place = SITES[sites[-1]] if sites else ""
    return f"layers.{layer[1]}{place}" if layer and place is not None else None
