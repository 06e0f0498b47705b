"""Files that were checked once and can be checked again: a folder's ``SHA256SUMS``, as ``sha256sum`` writes and reads
it."""

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write_sums(folder: Path, names: list[str] | None = None) -> None:
    """Write the sums of these files, or of all in the folder. Raises: OSError."""
    names = names or sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != NAME)
    (folder / NAME).write_text("".join(f"{_sum(folder / name)}  {name}\n" for name in names))


def wrong_files(folder: Path) -> list[str]:
    """Those of the listed files that are missing, cannot be read or are others now.

    Raises:
        OSError: there is no list.
        ValueError: the list is none.
    """
    listed = [line.split("  ", 1) for line in (folder / NAME).read_text().splitlines()]
    return [name for wanted, name in listed if not _is(folder / name, wanted)]


def _is(path: Path, wanted: str) -> bool:
    try:
        return _sum(path) == wanted
    except OSError:
        return False


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
