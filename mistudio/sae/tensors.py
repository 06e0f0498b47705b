"""What every reader does: open files without running code in them, and check names and shapes."""

import hashlib
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from mistudio.errors import SAEError

LARGEST_CONFIG = 1 << 24  # bytes
# Weights hardly shrink when they are packed; an archive that grows by more holds something else.
MOST_TIMES, MOST_SMALL = 30, 1 << 24


def read_config(path: Path) -> dict:
    """A JSON object.

    Raises:
        SAEError: it is none.
    """
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError(f"it is longer than {LARGEST_CONFIG >> 20} MiB, which no config is")
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no JSON object")
        return config
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, error) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a ``.safetensors``, ``.npz`` or torch file as float32 by name, and the file's sha256.

    Pickled code is refused, never run. No more memory is taken than the file's size allows for.

    Raises:
        SAEError: the file is broken, or holds something else than tensors.
    """
    try:
        found = _open(path)
        with path.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    # Four libraries read these files, and a broken one makes them raise whatever comes first.
    except Exception as error:
        raise _broken(path, error) from error
    if not isinstance(found, dict):
        raise SAEError(f"{path.name!r} holds a {type(found).__name__}, not tensors by name.",
                       "Save the SAE's state dict.")
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()
            if isinstance(name, str) and isinstance(value, Tensor) and _is_whole(value)}, hashed


def _open(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    if zipfile.is_zipfile(path):
        _refuse_bomb(path)
    if path.suffix != ".npz":
        return torch.load(path, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                _refuse_promise(file, member.file_size)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(MOST_TIMES * path.stat().st_size, MOST_SMALL):
        raise ValueError(f"it grows to {unpacked >> 20:,} MiB when it is unpacked")


def _refuse_promise(file, size: int) -> None:
    """NumPy takes the memory that an array's header asks for before it looks whether the numbers are there."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _fortran, dtype = read(file)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise ValueError("an array is said to be larger than it is")


def _is_whole(value: Tensor) -> bool:
    """Whether every number of it is there: none is a view that shows one number many times, sparse, or quantised."""
    return (value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
            and value.numel() * value.element_size() <= value.untyped_storage().nbytes())


def take(tensors: dict[str, Tensor], name: str, *shape: int | None) -> Tensor:
    """A tensor of this name and shape (None: any size).

    Raises:
        SAEError: it is missing, has another shape, is empty, or holds no real numbers.
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
    if not found.is_floating_point() or not found.numel():
        raise SAEError(f"The SAE's tensor {name!r} holds {found.numel()} numbers of type {found.dtype}.",
                       "Check that the file is a whole SAE of the stated architecture.")
    return found


def unit_decoder(W_enc: Tensor, b_enc: Tensor, W_dec: Tensor) -> dict[str, Tensor]:
    """The same function with decoder rows of norm 1: pre-activations ``[d_sae]`` take the norms on.

    A JumpReLU threshold then compares with the scaled pre-activations.
    """
    norm = W_dec.norm(dim=1)
    return {"W_enc": W_enc * norm, "b_enc": b_enc * norm, "W_dec": W_dec / norm[:, None]}


def section(config: dict, name: str) -> dict:
    """An object inside the config; an empty one where there is none.

    Raises:
        SAEError: it is something else.
    """
    value = config.get(name)
    if value is not None and not isinstance(value, dict):
        raise SAEError(f"The SAE's config gives no usable {name!r} (found {_short(value)}).", "Check the file.")
    return value or {}


def word(config: dict, name: str) -> str | None:
    """A text of the config; None where there is none.

    Raises:
        SAEError: it is something else.
    """
    value = config.get(name)
    if value is not None and not isinstance(value, str):
        raise SAEError(f"The SAE's config gives no usable {name!r} (found {_short(value)}).", "Check the file.")
    return value or None


def number(config: dict, name: str) -> int:
    """A positive whole number of the config.

    Raises:
        SAEError: it is missing or something else.
    """
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise SAEError(f"The SAE's config gives no usable {name!r} (found {_short(value)}).", "Check the file.")
    return value


def number_or_none(config: dict, name: str) -> int | None:
    """The same; None where there is none."""
    return None if config.get(name) is None else number(config, name)


def amount(config: dict, name: str) -> float:
    """A finite number of the config, 0 where there is none.

    Raises:
        SAEError: it is something else.
    """
    value = config.get(name) or 0.0
    if not isinstance(value, int | float) or not -1e30 < value < 1e30:
        raise SAEError(f"The SAE's config gives no usable {name!r} (found {_short(value)}).", "Check the file.")
    return float(value)


def unsupported(what: str, known: str) -> SAEError:
    """The error for a file that is understood, but holds something that cannot be run."""
    return SAEError(f"The SAE {what} is not supported.", f"Supported: {known}.")


def _short(value: object) -> str:
    # To write a very large number out could take forever.
    return "a very large number" if isinstance(value, int) and abs(value) > 10**60 else ascii(value)[:60]


def _broken(path: Path, error: Exception) -> SAEError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return SAEError(f"The SAE's file {path.name!r} cannot be read: {first}",
                    "Download it again; files that hold pickled code are refused.")
