"""Two sets of labels side by side: of two extractions, or of two runs or labelers on one."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from sqlalchemy import and_, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from mistudio.store.tables import Feature, Label, RunItem
from mistudio.store.vectors import vectors_of

Which = Literal["differ", "same", "both", "first", "second", "any"]


@dataclass(frozen=True)
class Side:
    """Whose labels: those an extraction's features have now, or those that these labeling runs of it chose."""

    extraction_id: int
    run_ids: tuple[int, ...] = ()


class Pair(NamedTuple):
    """A feature with its label on each side; None where a side has none. ``alike`` is the cosine of their meaning
    vectors, None unless both are stored."""

    index: int
    first: Label | None
    second: Label | None
    alike: float | None


class Totals(NamedTuple):
    """Features with a label on both sides, of these with the same text, on one side alone; how many have a score on
    both sides, and the mean of each side over these (None without any)."""

    both: int
    same: int
    first: int
    second: int
    scored: int
    first_score: float | None
    second_score: float | None


def totals(work: Session, first: Side, second: Side) -> Totals:
    """Counts over all features of the first side's extraction."""
    one, two = aliased(Label), aliased(Label)
    where = _conditions(one, two)
    scored = where["both"] & col(one.score).is_not(None) & col(two.score).is_not(None)
    query = select(*(func.count().filter(where[name]) for name in ("both", "same", "first", "second")),
                   func.count().filter(scored), func.avg(one.score).filter(scored), func.avg(two.score).filter(scored))
    return Totals(*work.exec(_joined(query, first, second, one, two)).one())


def pairs(work: Session, first: Side, second: Side, which: Which = "any", *, encoder: str = "", limit: int = 25,
          offset: int = 0) -> list[Pair]:
    """One page of features in order of index.

    Args:
        which: differ (a label on both sides, with different text), same, both, first or second (a label there alone),
            any (on at least one).
        encoder: in whose space meanings are compared.
    """
    one, two = aliased(Label), aliased(Label)
    query = _joined(select(Feature.index, one, two), first, second, one, two).where(_conditions(one, two)[which])
    rows = work.exec(query.order_by(col(Feature.index)).limit(limit).offset(offset)).all()
    vectors = _vectors(work, [label.id for _index, *labels in rows for label in labels if label], encoder)
    return [Pair(index, left, right, _cosine(left, right, vectors)) for index, left, right in rows]


def _joined(query, first: Side, second: Side, one: type[Label], two: type[Label]):
    """Every feature of the first side's extraction, with each side's label where it has one."""
    query = _with_labels(query.select_from(Feature), Feature, first, one)
    if second.extraction_id == first.extraction_id:
        other = Feature
    else:
        other = aliased(Feature)
        query = query.join(other, and_(other.extraction_id == second.extraction_id, other.index == Feature.index),
                           isouter=True)
    return _with_labels(query, other, second, two).where(Feature.extraction_id == first.extraction_id)


def _with_labels(query, feature: type[Feature], side: Side, label: type[Label]):
    if not side.run_ids:
        return query.join(label, and_(feature.label_id == label.id, label.verdict != "rejected"), isouter=True)
    # An item knows the label that its run chose among candidates; of several runs the newest counts.
    chosen = (select(RunItem.feature_id, func.max(RunItem.label_id).label("label_id"))
              .where(col(RunItem.run_id).in_(side.run_ids), RunItem.state == "done").group_by(RunItem.feature_id)
              .subquery())
    return (query.join(chosen, chosen.c.feature_id == feature.id, isouter=True)
            .join(label, label.id == chosen.c.label_id, isouter=True))


def _conditions(one: type[Label], two: type[Label]) -> dict[Which, object]:
    left, right = col(one.id).is_not(None), col(two.id).is_not(None)
    same = func.lower(one.text) == func.lower(two.text)
    return {"both": left & right, "same": left & right & same, "differ": left & right & ~same,
            "first": left & ~right, "second": right & ~left, "any": or_(left, right)}


def _vectors(work: Session, label_ids: list[int], encoder: str) -> dict[int, np.ndarray]:
    return {label_id: np.frombuffer(vector, np.float16).astype(np.float32)
            for label_id, vector in vectors_of(work, label_ids, encoder).items()}


def _cosine(first: Label | None, second: Label | None, vectors: dict[int, np.ndarray]) -> float | None:
    if first is None or second is None or first.id not in vectors or second.id not in vectors:
        return None
    return float(vectors[first.id] @ vectors[second.id])
