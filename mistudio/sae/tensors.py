"""What every reader does: open files without running code in them, and check names and shapes."""

import hashlib
import json
import zipfile
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mistudio.errors import SAEError


def read_config(path: Path) -> dict:
    """A JSON object.

    Raises:
        SAEError: it is none.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"{path.name} is no JSON object")
        return config
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a ``.safetensors``, ``.npz`` or torch file as float32 by name, and the file's sha256.

    Pickled code is refused, never run.

    Raises:
        SAEError: the file is broken, or holds something else than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        with path.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, SafetensorError, UnpicklingError,
            zipfile.BadZipFile) as error:
        raise _broken(path, error) from error
    if not isinstance(found, dict):
        raise SAEError(f"{path.name!r} holds a {type(found).__name__}, not tensors by name.",
                       "Save the SAE's state dict.")
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()
            if isinstance(value, Tensor)}, hashed


def take(tensors: dict[str, Tensor], name: str, *shape: int | None) -> Tensor:
    """A tensor of this name and shape (None: any size).

    Raises:
        SAEError: it is missing, or has another shape.
    """
    if name not in tensors:
        raise SAEError(f"The SAE lacks the tensor {name!r}; found: {', '.join(sorted(tensors)) or 'none'}.",
                       "Check that the file is a whole SAE of the stated architecture.")
    found = tensors[name]
    fits = len(shape) == found.dim() and all(
        want in (None, size) for want, size in zip(shape, found.shape, strict=True))
    if not fits:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise SAEError(f"The SAE's tensor {name!r} has shape {list(found.shape)}, expected [{expected}].",
                       "Check the sizes that the config gives.")
    return found


def unit_decoder(W_enc: Tensor, b_enc: Tensor, W_dec: Tensor) -> dict[str, Tensor]:
    """The same function with decoder rows of norm 1: pre-activations ``[d_sae]`` take the norms on.

    A JumpReLU threshold then compares with the scaled pre-activations.
    """
    norm = W_dec.norm(dim=1)
    return {"W_enc": W_enc * norm, "b_enc": b_enc * norm, "W_dec": W_dec / norm[:, None]}


def number(config: dict, name: str) -> int:
    """A positive whole number of the config.

    Raises:
        SAEError: it is missing or something else.
    """
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SAEError(f"The SAE's config gives no usable {name!r} (found {value!r}).", "Check the file.")
    return value


def unsupported(what: str, known: str) -> SAEError:
    """The error for a file that is understood, but holds something that cannot be run."""
    return SAEError(f"The SAE {what} is not supported.", f"Supported: {known}.")


def _broken(path: Path, error: Exception) -> SAEError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return SAEError(f"The SAE's file {path.name!r} cannot be read: {first}",
                    "Download it again; files that hold pickled code are refused.")
