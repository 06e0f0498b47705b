"""A document, its stable hash, and the split that the hash alone decides."""

import hashlib
from dataclasses import dataclass

import numpy as np

SPLITS = ("explain", "select", "test")


@dataclass(frozen=True)
class Document:
    """A piece of text, or of tokens. ``name`` identifies it and alone decides its split; ``kind`` says what sort of
    text it is. ``tokens`` ``[n]`` integer ids are given where it comes tokenised already; ``text`` is then not read.
    """

    name: str
    text: str
    kind: str = "text"
    tokens: np.ndarray | None = None


def document_hash(name: str) -> int:
    """A stable 63-bit hash of a document's name."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


def split_of(hashed: int) -> int:
    """The split of a document: 60% explain, 15% select, 25% test, by its hash alone."""
    place = hashed % 100
    return 0 if place < 60 else 1 if place < 75 else 2
