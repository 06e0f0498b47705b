"""Scores of labels: stored beside each other, with the headline one on the label itself."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from mistudio.store.current import follow
from mistudio.store.tables import Feature, Label, RunItem, Score

# The headline of a label is its newest score by the first of these methods that it was measured by.
METHODS = ("detection", "fuzzing", "embedding")


# Prepared once, for every score of a run.
_LATEST = (select(Score.value).where(Score.label_id == bindparam("of_label"), Score.method == bindparam("by"),
                                     Score.split == "test").order_by(col(Score.id).desc()).limit(1))
# Two methods that judge a label by different questions: where they lie far apart, one of them was misled.
_OTHER = {"detection": "fuzzing", "fuzzing": "detection"}


def add_score(work: Session, score: Score, label: Label) -> None:
    """Store a score of a stored label; one of the test split may become the label's headline, and its feature's."""
    score.label_id = label.id
    work.add(score)
    if score.split != "test":
        return
    if score.method in _OTHER:
        other = work.exec(_LATEST, params={"of_label": label.id, "by": _OTHER[score.method]}).first()
        label.disagreement = None if other is None else abs(score.value - other)
    if not label.score_method or METHODS.index(score.method) <= METHODS.index(label.score_method):
        label.score, label.score_method = score.value, score.method
    work.add(label)
    follow(work, label)


class ScoreRow(NamedTuple):
    """A label's newest test-split score by one method and judge, with what reports group it by.

    ``current`` says that the label is its feature's current one; ``judged`` that a model was asked.
    """

    feature_id: int
    label_id: int
    current: bool
    method: str
    judge: str
    value: float
    baseline: float | None
    weighted: float
    recalls: dict
    cost: float | None
    judged: bool
    kind: str
    origin: str
    provider: str
    model: str
    prompt: str
    label_prompt_hash: str
    label_cost: float | None
    density: float


def score_rows(work: Session, *, extraction_id: int | None = None, run_id: int | None = None,
               indices: Collection[int] = ()) -> list[ScoreRow]:
    """Scores of an extraction's labels (only of features with these indices, where some are given), or those that one
    run measured."""
    query = (select(Feature.id, Label.id, Feature.label_id == Label.id, Score.method, Score.judge, Score.value,
                    Score.baseline, Score.weighted, Score.recalls, Score.cost, Score.prompt_hash != "", Label.kind,
                    Label.origin, Label.provider, Label.model, Label.prompt, Label.prompt_hash, Label.cost,
                    Feature.density)
             .join(Label, col(Score.label_id) == Label.id).join(Feature, col(Label.feature_id) == Feature.id)
             .where(Score.split == "test").order_by(col(Score.id)))
    if extraction_id is not None:
        query = query.where(Feature.extraction_id == extraction_id)
    if indices:
        query = query.where(col(Feature.index).in_(indices))
    if run_id is not None:
        query = query.where(Score.run_id == run_id)
    # The newest of each comes last and stays.
    newest = {(row[1], row[3], row[4]): ScoreRow(*row) for row in work.exec(query)}
    return list(newest.values())


def scores_of(work: Session, label_id: int) -> list[Score]:
    """Every score of a label, newest first."""
    return list(work.exec(select(Score).where(Score.label_id == label_id).order_by(col(Score.id).desc())))


def newest_score(work: Session) -> int:
    """Id of the last score that was stored; 0 without any."""
    return work.exec(select(func.max(Score.id))).one() or 0


def labels_of_run(work: Session, run_id: int, limit: int = 1000) -> list[tuple[str, str]]:
    """Text and explanation of the labels that a scoring run is for."""
    query = (select(Label.text, Label.explanation).join(RunItem, col(RunItem.label_id) == Label.id)
             .where(RunItem.run_id == run_id).order_by(Label.id).limit(limit))
    return [tuple(row) for row in work.exec(query)]
