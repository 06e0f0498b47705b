"""Read the SAELens layout: ``cfg.json`` beside ``sae_weights.safetensors``."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mistudio.errors import SAEError
from mistudio.sae.sae import ARCHITECTURES, SAE


def read_saelens(folder: Path) -> SAE:
    """Read and check an SAE in the SAELens layout.

    Raises:
        SAEError: a file is broken, the architecture is not supported, or a tensor is missing or of the wrong shape.
    """
    try:
        config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("cfg.json is no JSON object")
        weights = folder / "sae_weights.safetensors"
        tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
        with weights.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    except (ValueError, SafetensorError) as error:
        raise SAEError(f"The SAE in {folder.name!r} cannot be read: {error}", "Download it again.") from error
    metadata = {**config, **(config.get("metadata") or {})}
    architecture = config.get("architecture", "standard")
    if architecture not in ARCHITECTURES:
        raise SAEError(f"The SAE architecture {architecture!r} is not supported yet.",
                       f"Supported: {', '.join(ARCHITECTURES)}.")
    if config.get("normalize_activations", "none") != "none":
        raise SAEError("The SAE expects normalised activations, which is not supported yet.",
                       "Fold the normalisation into its weights first.")
    d_in, d_sae = _need(config, "d_in"), _need(config, "d_sae")
    shapes = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in), "b_enc": (d_sae,), "b_dec": (d_in,)}
    if architecture == "jumprelu":
        shapes["threshold"] = (d_sae,)
    for name, shape in shapes.items():
        _check(tensors, name, shape)
    return SAE(
        architecture=architecture, **{name: tensors[name] for name in shapes}, hash=hashed,
        k=_need(config, "k") if architecture == "topk" else None,
        subtract_b_dec=metadata.get("apply_b_dec_to_input", True),
        hook_point=metadata.get("hook_point") or _hook_point(metadata.get("hook_name")),
        context_length=metadata.get("context_size"), prepend_bos=metadata.get("prepend_bos", True),
        center=bool((metadata.get("model_from_pretrained_kwargs") or {}).get("center_writing_weights")))


def _need(config: dict, name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or value < 1:
        raise SAEError(f"The SAE's cfg.json gives no usable {name!r} (found {value!r}).", "Check the file.")
    return value


def _check(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
    if name not in tensors:
        raise SAEError(f"The SAE lacks the tensor {name!r}; found: {', '.join(sorted(tensors)) or 'none'}.",
                       "Check that the file is a whole SAE of the stated architecture.")
    if tuple(tensors[name].shape) != shape:
        raise SAEError(f"The SAE's tensor {name!r} has shape {list(tensors[name].shape)}, expected {list(shape)}.",
                       "Check d_in and d_sae in cfg.json.")


def _hook_point(name: str | None) -> str | None:
    """TransformerLens calls the residual stream after block i ``blocks.{i}.hook_resid_post``."""
    parts = (name or "").split(".")
    if len(parts) == 3 and parts[0] == "blocks" and parts[2] == "hook_resid_post":
        return f"layers.{parts[1]}"
    return name
