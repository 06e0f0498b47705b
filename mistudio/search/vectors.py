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
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import acting_as, owner
from mistudio.search.codes import Codes
from mistudio.search.encoder import DIMENSIONS, ENCODER, encode_labels, on_one_core
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
MOST_NEW = 8192  # labels that came since all were read; of more, all are read again

_cache: WeakKeyDictionary[Engine, OrderedDict] = WeakKeyDictionary()
_lock, _loading = threading.Lock(), threading.Lock()


class Exact(NamedTuple):
    """``matrix`` ``[n, 384]`` float32 of the features and labels whose ids are ``feature_ids`` and ``label_ids``
    ``[n]`` int64."""

    feature_ids: np.ndarray
    label_ids: np.ndarray
    matrix: np.ndarray

    def and_also(self, more: "Exact") -> "Exact":
        return Exact(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))

    def nearest(self, query: np.ndarray, among: list[int] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Feature ids, label ids and similarities ``[n]`` of all, or of these features only; in no order."""
        rows = _places(self.feature_ids, among)
        return self.feature_ids[rows], self.label_ids[rows], self.matrix[rows] @ query


@dataclass
class Vectors:
    """What is in memory of an extraction's labels: ``old`` those that were current when all were read, in codes where
    they are too many, and ``new`` those that became so since.

    ``state`` is the fingerprint that was found to go with it, ``newest`` the last label id that was looked at,
    ``waiting`` how many labels have no vector.
    """

    old: Exact | Codes
    new: Exact
    state: tuple = ()
    newest: int = 0
    waiting: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fingerprint(self) -> tuple[int, ...]:
        """What the store's would be if each feature's current label were the newest that is here."""
        newer = dict(zip(self.new.feature_ids.tolist(), self.new.label_ids.tolist(), strict=True))
        kept = self.old.label_ids[~np.isin(self.old.feature_ids, list(newer))]
        return sql.fingerprint_of(np.concatenate([kept, np.array(list(newer.values()), dtype=np.int64)]))


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
            _save(work, chunk, encode_labels([(text, explanation) for _id, text, explanation in chunk]))
        if progress:
            progress(start + len(chunk), len(missing))
    return len(missing)


def _save(work: Session, labels: list[tuple[int, str, str]], vectors: np.ndarray) -> list[bytes]:
    """Store the vectors ``[n, 384]`` of ``(label id, text, explanation)``, and return them as they are stored."""
    blobs = [vector.tobytes() for vector in vectors.astype(np.float16)]
    sql.save_vectors(work, ENCODER, [(row[0], blob) for row, blob in zip(labels, blobs, strict=True)])
    return blobs


def waiting(engine: Engine, extraction_id: int) -> int:
    """How many labels have no vector yet, after a search has computed what it does by the way."""
    return (_held(engine, extraction_id) or _current(engine, extraction_id)).waiting


def nearest(engine: Engine, extraction_id: int, query: np.ndarray, count: int,
            among: list[int] | None = None, *, exact: int = EXACT) -> list[tuple[int, int, float]]:
    """``(feature id, label id, similarity)`` of the ``count`` labels nearest to a query ``[384]``, best first. A label
    may have been replaced or rejected since.

    Args:
        among: ids of the only features to look at.
        exact: of more labels than this, only the signs of their vectors are held in memory.
    """
    found = _current(engine, extraction_id, exact)
    new = found.new.nearest(query, among)
    if isinstance(found.old, Exact):
        old = found.old.nearest(query, among)
    else:
        with session(engine) as work:
            old = _by_codes(work, found.old, query, max(COMPARED, count), among)
    feature_ids, label_ids, similar = (np.concatenate(pair) for pair in zip(new, old, strict=True))
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
    found = _held(engine, extraction_id)
    if found is not None and _follow(engine, extraction_id, found):
        return found
    with _loading:
        other = _held(engine, extraction_id)
        if other is not found and _follow(engine, extraction_id, other):
            return other  # somebody else has just read them
        found = _load(engine, extraction_id, exact)
        with _lock:
            entries = _cache.setdefault(engine, OrderedDict())
            entries[extraction_id] = found
            entries.move_to_end(extraction_id)
            while len(entries) > KEPT:
                entries.popitem(last=False)
    return found


def _held(engine: Engine, extraction_id: int) -> Vectors | None:
    with _lock:
        return _cache.setdefault(engine, OrderedDict()).get(extraction_id)


def _follow(engine: Engine, extraction_id: int, found: Vectors) -> bool:
    """Take in what became current since. False where it is simpler to read all: very much did, or some labels have no
    vector yet. A run may store labels all the while, so that the next search has these."""
    # The index is the server's own, whoever searches.
    with found.lock, acting_as(owner()), session(engine) as work:
        rows = _newer(work, extraction_id, found)
        # Read next to each other, with nothing that takes long between: else they would seldom go together.
        state = None if isinstance(found.old, Codes) else sql.fingerprint(work, extraction_id, found.newest)
        _add(work, found, rows)
        if state is None:
            return True
        if len(rows) == AT_ONCE or len(found.new.label_ids) > MOST_NEW:
            return False
        if state in (found.state, found.fingerprint()):
            found.state = state
            return True
        return _add_older(work, extraction_id, found)


def _add_older(work: Session, extraction_id: int, found: Vectors) -> bool:
    """Take in older labels that are current again. False where too many are not here, or one has no vector."""
    feature_ids, label_ids = sql.current_labels(work, extraction_id, found.newest)
    lacking = ~np.isin(label_ids, np.concatenate([found.old.label_ids, found.new.label_ids]))
    pairs = dict(zip(label_ids[lacking].tolist(), feature_ids[lacking].tolist(), strict=True))
    read = sql.vectors_of(work, list(pairs), ENCODER) if len(pairs) <= AT_ONCE else {}
    if len(read) < len(pairs):
        return False
    found.new = found.new.and_also(_exact([(pairs[label_id], label_id, vector) for label_id, vector in read.items()]))
    found.state = sql.fingerprint_of(label_ids)
    return True


def _load(engine: Engine, extraction_id: int, exact: int) -> Vectors:
    with session(engine) as work:
        # Whatever a run stores from here on is taken in afterwards.
        newest, state = sql.newest_label(work), sql.fingerprint(work, extraction_id)
    ensure_vectors(engine, extraction_id, most=AT_ONCE)
    with session(engine) as work:
        if state[0] > exact:
            return _load_many(work, extraction_id, state, newest)
        rows = [row for block in sql.load_vectors(work, extraction_id, ENCODER) for row in block]
    return Vectors(_exact(rows), _exact([]), newest=newest, waiting=max(0, state[0] - len(rows)))


def _exact(rows: list[tuple[int, int, bytes]]) -> Exact:
    ids, labels = (np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1))
    return Exact(ids, labels, _matrix([row[2] for row in rows]))


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
    return Vectors(codes, _exact([]), newest=newest, waiting=state[0] - len(codes))


def _blocks(work: Session, extraction_id: int) -> Iterator[Exact]:
    for rows in sql.load_vectors(work, extraction_id, ENCODER):
        yield _exact(rows)


def _newer(work: Session, extraction_id: int, found: Vectors) -> list[tuple[int, int, str, str, bytes | None]]:
    """The labels that came since, ``AT_ONCE`` at most; they count as looked at now."""
    newest = sql.newest_label(work)
    if newest == found.newest:
        return []
    rows = sql.labels_after(work, extraction_id, found.newest, ENCODER, AT_ONCE)
    known = set(found.old.label_ids[found.old.label_ids > found.newest].tolist())
    found.newest = rows[-1][1] if rows else newest
    return [row for row in rows if row[1] not in known]


def _add(work: Session, found: Vectors, rows: list[tuple[int, int, str, str, bytes | None]]) -> None:
    """Take them in; those that are no longer current do no harm."""
    if not rows:
        return
    bare = [(label_id, text, explanation) for _id, label_id, text, explanation, vector in rows if vector is None]
    made = {}
    if bare:
        vectors = on_one_core(encode_labels, [(text, explanation) for _id, text, explanation in bare])
        made = dict(zip([label[0] for label in bare], _save(work, bare, vectors), strict=True))
    found.new = found.new.and_also(_exact([(row[0], row[1], row[4] or made[row[1]]) for row in rows]))
