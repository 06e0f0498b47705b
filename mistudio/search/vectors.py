"""Meaning vectors of labels: computed once a label, kept in the store, searched by brute force in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine

from mistudio.search.encoder import DIMENSIONS, ENCODER, encode_labels
from mistudio.store import search as sql
from mistudio.store import session

CHUNK = 256
KEPT = 2  # 131k labels take 200 MB

_cache: WeakKeyDictionary[Engine, OrderedDict] = WeakKeyDictionary()
_lock = threading.Lock()


def ensure_vectors(engine: Engine, extraction_id: int, progress: Callable[[int, int], None] | None = None) -> int:
    """Compute the vectors that current labels lack; each chunk is committed, so a break loses little.

    Args:
        progress: called with (labels done, labels to do).

    Returns:
        How many were computed.
    """
    with session(engine) as work:
        missing = sql.without_vector(work, extraction_id, ENCODER)
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start:start + CHUNK]
        vectors = encode_labels([(text, explanation) for _id, text, explanation in chunk]).astype(np.float16)
        with session(engine) as work:
            sql.save_vectors(work, ENCODER, [(row[0], vector.tobytes())
                                             for row, vector in zip(chunk, vectors, strict=True)])
        if progress:
            progress(start + len(chunk), len(missing))
    return len(missing)


def label_matrix(engine: Engine, extraction_id: int) -> tuple[np.ndarray, np.ndarray]:
    """``(feature ids [n] int64, unit vectors [n, 384] float32)`` of all labels that can be found."""
    with session(engine) as work:
        state = sql.fingerprint(work, extraction_id)
        with _lock:
            kept = _cache.setdefault(engine, OrderedDict()).get(extraction_id)
        if kept and kept[0] == state:
            return kept[1], kept[2]
        rows = sql.load_vectors(work, extraction_id, ENCODER)
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float16).reshape(-1, DIMENSIONS)
    matrix = matrix.astype(np.float32)
    # A search that could not see every vector (another thread still computes them) must not be remembered.
    if len(ids) == state[0]:
        with _lock:
            entries = _cache.setdefault(engine, OrderedDict())
            entries[extraction_id] = (state, ids, matrix)
            entries.move_to_end(extraction_id)
            while len(entries) > KEPT:
                entries.popitem(last=False)
    return ids, matrix
