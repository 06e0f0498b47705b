"""What all features of an extraction share: token texts and reference windows, read once."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session

from mistudio.errors import MistudioError
from mistudio.store import Extraction
from mistudio.store.examples import Reference, load_references, load_vocabulary


class NoEvidence(MistudioError):
    """Nothing can be shown of this feature, so nobody can name it."""


@dataclass(frozen=True)
class Material:
    """``tokens`` is ``[reference, window]``."""

    vocabulary: list[str]
    references: list[Reference]
    tokens: np.ndarray


_materials: OrderedDict[tuple, Material] = OrderedDict()
_lock = threading.Lock()
_KEPT = 2


def material_of(work: Session, extraction: Extraction) -> Material:
    """References and vocabulary, read once an extraction: they are the same for every feature.

    Raises:
        NoEvidence: the extraction kept no token texts.
    """
    key = (str(work.get_bind().url), extraction.id, extraction.created_at)
    with _lock:
        if key not in _materials:
            vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
            if not vocabulary:
                raise NoEvidence("This extraction kept no token texts.", "Extract again.")
            references = load_references(work, extraction.id)
            tokens = np.stack([window.tokens for window in references]) if references else np.zeros((0, 1), np.int32)
            _materials[key] = Material(vocabulary, references, tokens)
            while len(_materials) > _KEPT:
                _materials.popitem(last=False)
        return _materials[key]
