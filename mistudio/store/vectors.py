"""The meaning vectors of labels, as they are stored: one blob a label, in the space of one encoder."""

from collections.abc import Collection, Iterator

import numpy as np
from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, text

from mistudio.store.tables import Feature, Label, LabelVector


def fingerprint(work: Session, extraction_id: int, newest: int | None = None) -> tuple[int, ...]:
    """Changes whenever the set of current labels does: their count and two sums over their ids. An index has it all.

    Args:
        newest: leave out labels with a larger id.
    """
    label = col(Feature.label_id)
    query = select(func.count(label), func.sum(label), func.sum((label % 8191) * (label % 131))).where(
        Feature.extraction_id == extraction_id, label.is_not(None) if newest is None else label <= newest)
    return tuple(value or 0 for value in work.exec(query).one())


def fingerprint_of(label_ids: np.ndarray) -> tuple[int, ...]:
    """What ``fingerprint`` is of these current labels (ids ``[n]`` int64)."""
    return len(label_ids), int(label_ids.sum()), int(((label_ids % 8191) * (label_ids % 131)).sum())


def current_labels(work: Session, extraction_id: int, newest: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of features and of their current labels, ``[n]`` int64 each; not of labels with a larger id."""
    rows = work.exec(select(Feature.id, Feature.label_id).where(
        Feature.extraction_id == extraction_id, col(Feature.label_id) <= newest)).all()
    ids = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)
    return ids[:, 0], ids[:, 1]


def without_vector(work: Session, extraction_id: int, encoder: str,
                   most: int | None = None) -> list[tuple[int, str, str]]:
    """``(label id, text, explanation)`` of current labels that have no vector of this encoder yet."""
    query = (select(Label.id, Label.text, Label.explanation).join(Feature, col(Feature.label_id) == Label.id)
             .join(LabelVector, (col(LabelVector.label_id) == Label.id) & (LabelVector.encoder == encoder),
                   isouter=True)
             .where(Feature.extraction_id == extraction_id, col(LabelVector.label_id).is_(None)))
    return [tuple(row) for row in work.exec(query.limit(most))]


def newest_label(work: Session) -> int:
    """The largest id of any label; 0 without one."""
    return work.exec(select(func.max(Label.id))).one() or 0


def labels_after(work: Session, extraction_id: int, label_id: int, encoder: str,
                 most: int) -> list[tuple[int, int, str, str, bytes | None]]:
    """``(feature id, label id, text, explanation, vector or None)`` of current labels with a larger id, in its order.
    """
    # CROSS JOIN keeps SQLite from reading all features first; to PostgreSQL it is an ordinary join.
    rows = work.exec(text(
        "SELECT feature.id, label.id, label.text, label.explanation, labelvector.vector FROM label "
        "CROSS JOIN feature LEFT JOIN labelvector ON labelvector.label_id = label.id AND encoder = :encoder "
        "WHERE label.id > :after AND feature.id = label.feature_id AND feature.label_id = label.id "
        "AND feature.extraction_id = :extraction ORDER BY label.id LIMIT :most").bindparams(
            after=label_id, extraction=extraction_id, encoder=encoder, most=most))
    return [tuple(row) for row in rows]


def save_vectors(work: Session, encoder: str, vectors: list[tuple[int, bytes]]) -> None:
    """Store ``(label id, float16 bytes)``; another writer may have stored the same meanwhile."""
    insert = (sqlite if work.get_bind().dialect.name == "sqlite" else postgresql).insert(LabelVector)
    upsert = insert.on_conflict_do_update(index_elements=["label_id"], set_={
        "encoder": insert.excluded.encoder, "vector": insert.excluded.vector})
    # In one order, so that two who store the same do not each wait for a row of the other.
    work.execute(upsert, [{"label_id": label_id, "encoder": encoder, "vector": vector}
                          for label_id, vector in sorted(vectors)])


def load_vectors(work: Session, extraction_id: int, encoder: str,
                 block: int = 20_000) -> Iterator[list[tuple[int, int, bytes]]]:
    """``(feature id, label id, float16 bytes)`` of every current label that has a vector of this encoder; so many at a
    time."""
    query = (select(Feature.id, Feature.label_id, LabelVector.vector)
             .join(LabelVector, col(LabelVector.label_id) == Feature.label_id)
             .where(Feature.extraction_id == extraction_id, LabelVector.encoder == encoder))
    for rows in work.exec(query.execution_options(yield_per=block)).partitions():
        yield [tuple(row) for row in rows]


def vectors_of(work: Session, label_ids: Collection[int], encoder: str) -> dict[int, bytes]:
    """The vectors of some labels, by label id."""
    return dict(work.exec(select(LabelVector.label_id, LabelVector.vector)
                          .where(col(LabelVector.label_id).in_(label_ids), LabelVector.encoder == encoder)).all())
