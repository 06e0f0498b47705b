"""Which labels mean what a query means: their vectors, computed once a label and kept in the store.

Up to ``EXACT`` labels are compared exactly and held in memory; of more, only their signs are (``search.codes``), and
the nearest are compared by the vectors in the store.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import acting_as, owner
from mistudio.search.codes import Codes
from mistudio.search.encoder import DIMENSIONS, ENCODER, encode_labels
from mistudio.settings import settings
from mistudio.store import session
from mistudio.store import vectors as sql
from mistudio.store.extractions import get_extraction

log = logging.getLogger(__name__)
CHUNK = 256
AT_ONCE = 512  # labels without a vector that a search computes by the way
EXACT = 131_072  # vectors in memory: 200 MB
COMPARED = 1500  # labels whose vectors are read and compared, of those with like signs
KEPT = 2

_cache: WeakKeyDictionary[Engine, OrderedDict] = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass
class Vectors:
    """What is in memory of an extraction's labels: ``matrix`` ``[n, 384]`` float32 of the features and labels whose ids
    are ``feature_ids`` and ``label_ids`` ``[n]`` int64; ``codes`` of the others, where there are too many.

    ``state`` is the fingerprint it goes with, ``newest`` the last label id that was looked at, ``waiting`` how many
    labels have no vector.
    """

    feature_ids: np.ndarray
    label_ids: np.ndarray
    matrix: np.ndarray
    state: tuple = ()
    codes: Codes | None = None
    newest: int = 0
    waiting: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def ensure_vectors(engine: Engine, extraction_id: int, progress: Callable[[int, int], None] | None = None,
                   most: int | None = None) -> int:
    """Compute the vectors that current labels lack; each chunk is committed, so a break loses little.

    Args:
        progress: called with (labels done, labels to do).
        most: compute no more than this.

    Returns:
        How many were computed.
    """
    with session(engine) as work:
        missing = sql.without_vector(work, extraction_id, ENCODER, most)
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start:start + CHUNK]
        with acting_as(owner()), session(engine) as work:  # an index is the server's own, whoever searches
            _save(work, chunk)
        if progress:
            progress(start + len(chunk), len(missing))
    return len(missing)


def _save(work: Session, labels: list[tuple[int, str, str]]) -> np.ndarray:
    """Compute and store the vectors ``[n, 384]`` float16 of ``(label id, text, explanation)``."""
    vectors = encode_labels([(text, explanation) for _id, text, explanation in labels]).astype(np.float16)
    sql.save_vectors(work, ENCODER, [(row[0], vector.tobytes()) for row, vector in zip(labels, vectors, strict=True)])
    return vectors


def waiting(engine: Engine, extraction_id: int) -> int:
    """How many labels have no vector yet, after a search has computed what it does by the way."""
    return _current(engine, extraction_id).waiting


def nearest(engine: Engine, extraction_id: int, query: np.ndarray, count: int,
            among: list[int] | None = None, *, exact: int = EXACT) -> list[tuple[int, int, float]]:
    """``(feature id, label id, similarity)`` of the ``count`` labels nearest to a query ``[384]``, best first. A label
    may have been replaced or rejected since.

    Args:
        among: ids of the only features to look at.
        exact: of more labels than this, only the signs of their vectors are held in memory.
    """
    found = _current(engine, extraction_id, exact)
    rows = _places(found.feature_ids, among)
    feature_ids, label_ids, similar = found.feature_ids[rows], found.label_ids[rows], found.matrix[rows] @ query
    if found.codes is not None:
        with session(engine) as work:
            more = _by_codes(work, found.codes, query, max(COMPARED, count), among)
        feature_ids, label_ids, similar = (np.concatenate(pair) for pair in zip(
            (feature_ids, label_ids, similar), more, strict=True))
    best = np.argsort(-similar, kind="stable")[:count]
    return [(int(feature_ids[row]), int(label_ids[row]), float(similar[row])) for row in best]


def _places(feature_ids: np.ndarray, among: list[int] | None) -> np.ndarray | slice:
    return slice(None) if among is None else np.flatnonzero(np.isin(feature_ids, among))


def _by_codes(work: Session, codes: Codes, query: np.ndarray, count: int, among: list[int] | None):
    places = codes.nearest(query, count, None if among is None else _places(codes.feature_ids, among))
    read = sql.vectors_of(work, codes.label_ids[places].tolist(), ENCODER)
    places = np.array([place for place in places if int(codes.label_ids[place]) in read], dtype=np.int64)
    matrix = _matrix([read[int(codes.label_ids[place])] for place in places])
    return codes.feature_ids[places], codes.label_ids[places], matrix @ query


def _matrix(blobs: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(blobs), dtype=np.float16).reshape(-1, DIMENSIONS).astype(np.float32)


def _current(engine: Engine, extraction_id: int, exact: int = EXACT) -> Vectors:
    """The vectors as of now."""
    with _lock:
        found = _cache.setdefault(engine, OrderedDict()).get(extraction_id)
    if found is not None and found.codes is not None:
        _add_new(engine, extraction_id, found)
        return found
    with session(engine) as work:
        state = sql.fingerprint(work, extraction_id)
    if found is None or found.state != state:
        found = _load(engine, extraction_id, state, exact)
        with _lock:
            entries = _cache.setdefault(engine, OrderedDict())
            entries[extraction_id] = found
            entries.move_to_end(extraction_id)
            while len(entries) > KEPT:
                entries.popitem(last=False)
    return found


def _load(engine: Engine, extraction_id: int, state: tuple, exact: int) -> Vectors:
    ensure_vectors(engine, extraction_id, most=AT_ONCE)
    with session(engine) as work:
        newest = sql.newest_label(work)
        if state[0] > exact:
            return _load_many(work, extraction_id, state, newest)
        rows = [row for block in sql.load_vectors(work, extraction_id, ENCODER) for row in block]
    missing = state[0] - len(rows)
    # What could not see every vector (another thread still computes them) must not be taken for whole.
    return Vectors(*_arrays(rows), state=() if missing else state, newest=newest, waiting=missing)


def _arrays(rows: list[tuple[int, int, bytes]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, labels = (np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1))
    return ids, labels, _matrix([row[2] for row in rows])


def _load_many(work: Session, extraction_id: int, state: tuple, newest: int) -> Vectors:
    """Codes from their file, if it was made of just these labels, or anew."""
    extraction = get_extraction(work, extraction_id)
    name = hashlib.sha256(f"{work.get_bind().url} {extraction_id}".encode()).hexdigest()[:16]
    path = settings().data_dir / "search" / f"{name}.npz"
    key = f"{ENCODER} {extraction.created_at.isoformat()} {state}"
    codes = Codes.load(path, key)
    if codes is None:
        codes = Codes.build(_blocks(work, extraction_id))
        try:
            codes.save(path, key)
        except OSError as error:  # it is searched all the same, and the next process makes them anew
            log.warning("the codes of %s cannot be kept in %s: %s", extraction.name, path, error)
    return Vectors(*_arrays([]), state=state, codes=codes, newest=newest, waiting=state[0] - len(codes))


def _blocks(work: Session, extraction_id: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for rows in sql.load_vectors(work, extraction_id, ENCODER):
        yield _arrays(rows)


def _add_new(engine: Engine, extraction_id: int, found: Vectors) -> None:
    """Take in the labels that came since; those that are no longer current do no harm."""
    with found.lock, acting_as(owner()), session(engine) as work:
        if sql.newest_label(work) == found.newest:
            return
        rows = sql.labels_after(work, extraction_id, found.newest, ENCODER, AT_ONCE)
        bare = [(label_id, text, explanation) for _id, label_id, text, explanation, vector in rows if vector is None]
        made = dict(zip([label[0] for label in bare], _save(work, bare), strict=True)) if bare else {}
        added = _arrays([(row[0], row[1], row[4] or made[row[1]].tobytes()) for row in rows])
        found.feature_ids, found.label_ids, found.matrix = (np.concatenate(pair) for pair in zip(
            (found.feature_ids, found.label_ids, found.matrix), added, strict=True))
        found.newest = rows[-1][1] if rows else sql.newest_label(work)
