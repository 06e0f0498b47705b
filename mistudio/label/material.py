"""What all features of an extraction share: token texts, reference windows, who is active in them, what they mean."""

import hashlib
import json
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from mistudio.access import acting_as, owner
from mistudio.errors import MistudioError, ModelError, ProviderSetupError
from mistudio.search.encoder import SHA256, encode
from mistudio.store import Extraction, session
from mistudio.store.examples import (
    SPLITS,
    Reference,
    load_reference_vectors,
    load_references,
    load_vocabulary,
    save_reference_vectors,
)

# Windows of a split that are encoded: enough near ones for any feature, and about 2 s of two cores, once.
MOST_ENCODED = 256
ALIKE = 0.95
_KEPT = 2
_kept: OrderedDict[tuple, "Material"] = OrderedDict()
_lock = threading.Lock()


class NoEvidence(MistudioError):
    """Nothing can be shown of this feature, so nobody can name it."""


@dataclass
class Material:
    """Reference windows and token texts of one extraction; threads may share it. ``engine`` is where vectors are kept,
    and ``extraction_id`` whose they are there; None to keep none.

    ``vocabulary`` is the text of every token id; ``tokens`` is ``[reference, window]`` int32, -1 outside the context;
    ``rarity`` is of the same shape, float32: the inverse document frequency of each token among the references;
    ``split`` is ``[reference]``, an index into ``SPLITS``.
    """

    vocabulary: list[str]
    references: list[Reference]
    engine: Engine | None = None
    extraction_id: int = 0
    tokens: np.ndarray = field(init=False)
    rarity: np.ndarray = field(init=False)
    split: np.ndarray = field(init=False)

    def __post_init__(self):
        windows = self.references
        self.tokens = np.stack([window.tokens for window in windows]) if windows else np.zeros((0, 1), np.int32)
        self.split = np.array([window.split for window in windows], dtype=np.int64)
        held = [np.unique(row[row >= 0]) for row in self.tokens]
        frequency = np.bincount(np.concatenate([np.zeros(0, np.int64), *held]), minlength=1)
        # The -1 outside a context reads the last entry; ``holding`` is never true there.
        self.rarity = (np.log((len(windows) + 1) / (frequency + 1))[self.tokens] + 1).astype(np.float32)
        active = [np.unique(window.feature) for window in windows]
        feature = np.concatenate([np.zeros(0, np.int64), *active]).astype(np.int64)
        order = np.argsort(feature, kind="stable")
        self._feature = feature[order]
        self._reference = np.repeat(np.arange(len(windows)), [len(each) for each in active])[order]
        self._vectors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._encoding = threading.Lock()

    def active_in(self, index: int) -> np.ndarray:
        """Numbers ``[m]`` of the reference windows in which a feature is active anywhere, in rising order."""
        first, last = np.searchsorted(self._feature, [index, index + 1])
        return self._reference[first:last]

    def holding(self, tokens: np.ndarray) -> np.ndarray:
        """``[reference, window]`` bool: where the reference windows hold one of these tokens."""
        wanted = np.zeros(len(self.vocabulary) + 1, dtype=bool)
        wanted[tokens] = True
        wanted[-1] = False
        return wanted[self.tokens]

    def text(self, tokens: np.ndarray) -> str:
        """The text of one window."""
        return "".join(self.vocabulary[token] for token in tokens if token >= 0)

    def vectors(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """What reference windows of a split mean: numbers ``[n]`` and unit vectors ``[n, 384]`` float32.

        At most ``MOST_ENCODED`` windows, evenly spread, and of texts that mean nearly the same only the first. The
        first call for an extraction loads the encoder; the database keeps what it finds.

        Raises:
            ProviderSetupError: the encoder is not installed, or its weights are not the published ones.
        """
        with self._encoding:
            if split not in self._vectors:
                self._vectors[split] = self._found(split)
            return self._vectors[split]

    def _found(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Those the database keeps, or new ones, which it is given to keep."""
        numbers = np.flatnonzero(self.split == SPLITS.index(split))
        spread = np.linspace(0, len(numbers) - 1, min(MOST_ENCODED, len(numbers))).round().astype(np.int64)
        numbers = numbers[spread]
        texts = [self.text(self.tokens[number]) for number in numbers]
        if self.engine is None:
            return self._encoded(numbers, texts)
        key = hashlib.sha256(json.dumps([SHA256, ALIKE, texts]).encode()).hexdigest()
        with session(self.engine) as work:
            kept = load_reference_vectors(work, self.extraction_id, split, key)
        if kept is None:
            kept = self._encoded(numbers, texts)
            # Locked, or kept by another process meanwhile; it is the server's own, whoever asks.
            with suppress(DBAPIError), acting_as(owner()), session(self.engine) as work:
                save_reference_vectors(work, self.extraction_id, split, key, *kept)
        return kept

    def _encoded(self, numbers: np.ndarray, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        try:
            # As the database will give them back.
            vectors = encode(texts).astype(np.float16).astype(np.float32)
        except ModelError as error:
            raise ProviderSetupError(error.message, f"{error.hint} Or show no silent windows (negatives 0).",
                                     kind="setup") from error
        # Boilerplate stands in many documents; each row that is like an earlier one goes.
        unlike = ~(np.tril(vectors @ vectors.T, -1) > ALIKE).any(axis=1)
        return numbers[unlike], vectors[unlike]


def material_of(work: Session, extraction: Extraction) -> Material:
    """The material of an extraction, read once and kept.

    Raises:
        NoEvidence: the extraction kept no token texts.
    """
    key = (work.get_bind().url, extraction.id, extraction.created_at)
    with _lock:
        if key not in _kept:
            vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
            if not vocabulary:
                raise NoEvidence("This extraction kept no token texts.", "Extract again.")
            _kept[key] = Material(vocabulary, load_references(work, extraction.id), work.get_bind(), extraction.id)
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
        return _kept[key]
