"""The one layout of examples: all windows of a feature in one compressed blob, and reference windows likewise.

A window is ``window`` tokens around a peak, cut at the edges of its context; token id -1 marks positions outside.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, select

from mistudio.store.tables import Feature, FeatureExamples, ReferenceVectors, ReferenceWindow, Vocabulary

SOURCES = ("top", "random")
SPLITS = ("explain", "select", "test")
_HEAD = np.dtype([("source", "u1"), ("split", "u1"), ("peak", "<u2"), ("context", "<i4"), ("document", "<u8")])


@dataclass
class Examples:
    """Windows of one feature, in order of split, then source, then strongest first (top) or random order (random).

    tokens ``[n, window]`` int32; activations ``[n, window]`` float16; peak ``[n]`` position of the maximum;
    context ``[n]`` context number; document ``[n]`` uint64 document hash; split ``[n]`` index into ``SPLITS``;
    source ``[n]`` index into ``SOURCES``. ``random`` windows are an unbiased sample of the feature's active contexts.
    """

    tokens: np.ndarray
    activations: np.ndarray
    peak: np.ndarray
    context: np.ndarray
    document: np.ndarray
    split: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def strength(self) -> np.ndarray:
        """``[n]`` float32: each window's peak activation."""
        return self.activations[np.arange(len(self)), self.peak].astype(np.float32)

    def take(self, rows: np.ndarray) -> "Examples":
        """Only these rows (indices or a boolean mask)."""
        return Examples(**{name: value[rows] for name, value in vars(self).items()})

    def only(self, *, split: str | None = None, source: str | None = None) -> "Examples":
        """Only the windows of one split and/or source."""
        keep = np.ones(len(self), dtype=bool)
        if split is not None:
            keep &= self.split == SPLITS.index(split)
        if source is not None:
            keep &= self.source == SOURCES.index(source)
        return self.take(keep)

    def to_blob(self) -> bytes:
        head = np.zeros(len(self), dtype=_HEAD)
        for name in _HEAD.names:
            head[name] = getattr(self, name)
        shape = np.array(self.tokens.shape, dtype="<u4").tobytes()
        body = head.tobytes() + self.tokens.astype("<i4").tobytes() + self.activations.astype("<f2").tobytes()
        return shape + zlib.compress(body, 1)

    @staticmethod
    def from_blob(blob: bytes) -> "Examples":
        rows, width = (int(n) for n in np.frombuffer(blob[:8], dtype="<u4"))
        body = zlib.decompress(blob[8:])
        head = np.frombuffer(body, dtype=_HEAD, count=rows)
        at = head.nbytes
        tokens = np.frombuffer(body, dtype="<i4", count=rows * width, offset=at).reshape(rows, width)
        at += tokens.nbytes
        activations = np.frombuffer(body, dtype="<f2", count=rows * width, offset=at).reshape(rows, width)
        return Examples(tokens, activations, *(head[name].astype(np.int64 if name != "document" else np.uint64)
                                               for name in ("peak", "context", "document", "split", "source")))


@dataclass
class Reference:
    """A random window and everything active in it: tokens ``[window]`` int32, split, document; and, sorted by feature,
    feature ``[m]``, position ``[m]`` and activation ``[m]`` of every nonzero."""

    tokens: np.ndarray
    split: int
    document: int
    feature: np.ndarray
    position: np.ndarray
    activation: np.ndarray

    def to_blob(self) -> bytes:
        head = np.array([len(self.tokens), len(self.feature), self.split], dtype="<u4").tobytes()
        body = (np.uint64(self.document).tobytes() + self.tokens.astype("<i4").tobytes()
                + self.feature.astype("<u4").tobytes() + self.position.astype("<u2").tobytes()
                + self.activation.astype("<f2").tobytes())
        return head + zlib.compress(body, 1)

    @staticmethod
    def from_blob(blob: bytes) -> "Reference":
        width, count, split = (int(n) for n in np.frombuffer(blob[:12], dtype="<u4"))
        body = zlib.decompress(blob[12:])
        at = 8 + 4 * width
        return Reference(
            tokens=np.frombuffer(body, dtype="<i4", count=width, offset=8), split=split,
            document=int(np.frombuffer(body, dtype="<u8", count=1)[0]),
            feature=np.frombuffer(body, dtype="<u4", count=count, offset=at),
            position=np.frombuffer(body, dtype="<u2", count=count, offset=at + 4 * count),
            activation=np.frombuffer(body, dtype="<f2", count=count, offset=at + 6 * count))

    def plus(self, other: "Reference") -> "Reference":
        """The same window with what other features, all above these, have in it."""
        return Reference(self.tokens, self.split, self.document,
                         *(np.concatenate([getattr(self, name), getattr(other, name)])
                           for name in ("feature", "position", "activation")))

    def active(self, index: int) -> bool:
        """Whether the feature is active anywhere in this window."""
        at = np.searchsorted(self.feature, index)
        return bool(at < len(self.feature) and self.feature[at] == index)


def load_examples(work: Session, feature: Feature) -> Examples | None:
    """The examples of a feature, or None when it has none."""
    row = work.get(FeatureExamples, feature.id)
    return Examples.from_blob(row.blob) if row else None


def load_references(work: Session, extraction_id: int) -> list[Reference]:
    """Every reference window of an extraction, in order."""
    rows = work.exec(select(ReferenceWindow.blob).where(ReferenceWindow.extraction_id == extraction_id)
                     .order_by(ReferenceWindow.number))
    return [Reference.from_blob(blob) for blob in rows]


def add_references(work: Session, extraction_id: int, windows: list[Reference]) -> None:
    """Store reference windows; to windows that are there already, add what further features have in them.

    Args:
        windows: the same ones in the same order at every call, with features that all lie above those stored.
    """
    query = (select(ReferenceWindow).where(ReferenceWindow.extraction_id == extraction_id)
             .order_by(ReferenceWindow.number))
    stored = {row.number: row for row in work.exec(query)}
    for number, window in enumerate(windows):
        row = stored.get(number) or ReferenceWindow(extraction_id=extraction_id, number=number, blob=b"")
        row.blob = (Reference.from_blob(row.blob).plus(window) if row.blob else window).to_blob()
        work.add(row)


def load_reference_vectors(work: Session, extraction_id: int, split: str,
                           key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Numbers ``[n]`` of reference windows of a split and unit vectors ``[n, d]`` float32; None where none of this key
    (encoder and texts) are kept."""
    row = work.get(ReferenceVectors, (extraction_id, split))
    if row is None or row.key != key:
        return None
    numbers = np.frombuffer(row.numbers, dtype="<i4").astype(np.int64)
    return numbers, np.frombuffer(row.vectors, dtype="<f2").reshape(len(numbers), -1).astype(np.float32)


def save_reference_vectors(work: Session, extraction_id: int, split: str, key: str, numbers: np.ndarray,
                           vectors: np.ndarray) -> None:
    """Keep vectors (as float16), in place of those of another key."""
    work.merge(ReferenceVectors(extraction_id=extraction_id, split=split, key=key,
                                numbers=numbers.astype("<i4").tobytes(), vectors=vectors.astype("<f2").tobytes()))


def add_vocabulary(work: Session, texts: list[str]) -> str:
    """Store the text of every token id, once for all extractions that have the same; returns its hash."""
    packed = json.dumps(texts, ensure_ascii=False).encode("utf-8", "replace")
    hashed = hashlib.sha256(packed).hexdigest()
    if work.get(Vocabulary, hashed) is None:
        work.add(Vocabulary(hash=hashed, tokens=zlib.compress(packed)))
    return hashed


def load_vocabulary(work: Session, hashed: str) -> list[str]:
    """The text of every token id; empty when the extraction stored none."""
    row = work.get(Vocabulary, hashed)
    return json.loads(zlib.decompress(row.tokens)) if row else []
