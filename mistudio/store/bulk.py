"""One verdict on many labels at once. It reaches only labels of runs that nobody has judged: a person's word stands."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from mistudio.errors import StoreError
from mistudio.store.filtering import FeatureFilter, matching
from mistudio.store.tables import Feature, Label, now


@dataclass(frozen=True)
class JudgedMany:
    """What was done, enough to take it back: ``count`` labels of an extraction got ``verdict`` at the time ``at``."""

    extraction_id: int
    verdict: str
    at: datetime
    count: int


def count_unjudged(work: Session, extraction_id: int, wanted: FeatureFilter) -> int:
    """How many labels of matching features ``judge_many`` would reach."""
    return work.exec(_unjudged(select(func.count()).select_from(Feature), extraction_id, wanted)).one()


def unjudged_examples(work: Session, extraction_id: int, wanted: FeatureFilter,
                      limit: int = 5) -> list[tuple[int, str, float | None]]:
    """``(index, label, score)`` of labels that ``judge_many`` would reach, those of the lowest score first."""
    query = (select(Feature.index, Label.text, Feature.score).join(Label, col(Feature.label_id) == Label.id)
             .order_by(col(Feature.score).asc().nulls_last(), col(Feature.index)).limit(limit))
    return [tuple(row) for row in work.exec(_unjudged(query, extraction_id, wanted))]


def judge_many(work: Session, extraction_id: int, wanted: FeatureFilter, verdict: str, *, author: str) -> JudgedMany:
    """Approve or reject the labels of all matching features that nobody has judged yet.

    Raises:
        StoreError: the verdict is neither ``approved`` nor ``rejected``.
    """
    if verdict not in ("approved", "rejected"):
        raise StoreError(f"{verdict!r} is not a verdict.", "Use approved or rejected.")
    at = now()
    labels = _unjudged(select(Feature.label_id), extraction_id, wanted)
    judged = work.exec(update(Label).where(col(Label.id).in_(labels), col(Label.verdict) == "")
                       .values(verdict=verdict, verdict_by=author, verdict_at=at)
                       .execution_options(synchronize_session=False))
    _tell_features(work, extraction_id, "unreviewed", verdict, at)
    return JudgedMany(extraction_id, verdict, at, judged.rowcount)


def take_back(work: Session, done: JudgedMany) -> int:
    """Undo it on the labels that are current and have not been judged again since. Returns how many these are."""
    # The labels still bear the time, so the features come first.
    _tell_features(work, done.extraction_id, done.verdict, "unreviewed", done.at)
    of_features = select(Feature.label_id).where(Feature.extraction_id == done.extraction_id,
                                                 Feature.label_state == "unreviewed")
    undone = work.exec(update(Label).where(col(Label.id).in_(of_features), col(Label.verdict_at) == done.at)
                       .values(verdict="", verdict_by="", verdict_at=None)
                       .execution_options(synchronize_session=False))
    return undone.rowcount


def _unjudged(query, extraction_id: int, wanted: FeatureFilter):
    return matching(query, extraction_id, wanted).where(Feature.label_state == "unreviewed")


def _tell_features(work: Session, extraction_id: int, before: str, after: str, at: datetime) -> None:
    """Bring the features in step whose current label was judged at this time."""
    judged = select(Label.id).where(Label.id == Feature.label_id, Label.verdict_at == at).exists()
    work.exec(update(Feature).where(col(Feature.extraction_id) == extraction_id, col(Feature.label_state) == before,
                                    judged).values(label_state=after)
              .execution_options(synchronize_session=False))
