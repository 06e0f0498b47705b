"""Files that are replaced as a whole, so that whoever reads one finds the old or the new one, never a part; and lines
of files from elsewhere, which may be of any length."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LONGEST_LINE = 1 << 24  # bytes
# Lines of activations shrink to a tenth, and to a hundredth where a text comes back for many features.
MOST_TIMES, MOST_SMALL = 500, 1 << 24


class TooLong(Exception):
    """A line, or all of a packed file, is longer than anything honest."""


def bounded_lines(file: BinaryIO, size: int | None, longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Lines of an open file, which may be unpacked while it is read, one in memory at a time.

    Args:
        size: bytes of the file as it lies on the disk; None where nothing is unpacked.
        longest: bytes of a line.

    Raises:
        TooLong: a line is longer, or the file grows to more than 500 times its size.
    """
    most, read = math.inf if size is None else max(MOST_TIMES * size, MOST_SMALL), 0
    while line := file.readline(longest + 1):
        read += len(line)
        if len(line) > longest:
            raise TooLong(f"the next one has more than {longest >> 20} MiB")
        if read > most:
            raise TooLong(f"it grows to more than {most >> 20:,} MiB when it is unpacked, from {size:,} bytes")
        yield line


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside ``path``, which takes its place once the block ends; where the block fails, the old one stays.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by this content. Raises: OSError."""
    with replacing(path) as file:
        file.write(data)
