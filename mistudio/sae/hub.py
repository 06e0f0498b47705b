"""Fetch an SAE's files from the Hugging Face hub, and no others: a repository may hold hundreds of SAEs."""

import glob
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mistudio.errors import SAEError

WEIGHTS = (".pt", ".pth", ".npz", ".safetensors")
CONFIGS = ("cfg.json", "config.json", "hyperparams.json")
# The one format that keeps its weights a folder below its config.
BELOW = "checkpoints/final.safetensors"


def fetch(name: str) -> Path:
    """Download the SAE's folder without what lies in folders below it, or its file and the configs beside it.

    Args:
        name: ``owner/name``, or ``owner/name:path`` with a folder, or a file that ends like one with weights.

    Returns:
        The folder's or file's path in the hub's cache.

    Raises:
        SAEError: it is not there, or the hub cannot be reached and the cache does not hold it.
    """
    repository, _, path = name.partition(":")
    path = path.strip("/")
    pattern = glob.escape(path)
    if ".." in PurePosixPath(path).parts:
        raise SAEError(f"{name!r} leads out of the repository.", "Name a folder or file in it.")
    try:
        if PurePosixPath(path).suffix in WEIGHTS:
            beside = (_join(glob.escape(str(PurePosixPath(path).parent)), config) for config in CONFIGS)
            return _snapshot(repository, path, [pattern, *beside])
        folder = _snapshot(repository, path, [_join(pattern, "*")], [_join(pattern, "*/*")])
        if (folder / "hyperparams.json").exists():
            _snapshot(repository, path, [_join(pattern, BELOW)])
        return folder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SAEError(f"The SAE {name!r} was not found: {first}",
                       "Give a folder or file on this machine, or a Hugging Face id like owner/name:path.") from error


def _snapshot(repository: str, path: str, wanted: list[str], ignored: list[str] | None = None) -> Path:
    found = Path(snapshot_download(repository, allow_patterns=wanted, ignore_patterns=ignored)) / path
    if not found.exists():
        raise FileNotFoundError(f"the repository holds no {path!r}")
    return found


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder not in ("", ".") else name
