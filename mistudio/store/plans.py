"""Which features a run takes, and which of them it skips and why: in SQL, for there may be millions."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, literal, null, or_, true
from sqlmodel import Session, col, select

from mistudio.store.counts import count_states
from mistudio.store.current import PROTECTED_STATES
from mistudio.store.filtering import FeatureFilter, matching
from mistudio.store.items import PROTECTED
from mistudio.store.tables import Extraction, Feature, Score

# Places among the features where an outline looks for a sample.
LOOKED_AT = 512
# States of features that nobody can name.
UNNAMED = ("dead", "rare")
T = TypeVar("T")
# Which features a run does not work on, for what kind of reason, and the reason; the first that fits counts.
Skipped = list[tuple[ColumnElement[bool], str, ColumnElement[str]]]


def plan_labels(extraction_id: int, wanted: FeatureFilter, *, replace_human: bool = False) -> Select:
    """The items of a labeling run, for ``runs.create_run``: one for each matching feature, queued, or skipped with the
    reason."""
    return _plan(extraction_id, wanted, _not_labeled(replace_human), null())


def outline_labels(work: Session, extraction_id: int, wanted: FeatureFilter, sampled: int, *,
                   replace_human: bool = False) -> tuple[int, int, list[int]]:
    """What ``plan_labels`` comes to.

    Returns:
        How many items are queued, how many are skipped, and ids of up to so many features of queued ones, spread evenly
        over the indices.
    """
    kept = () if replace_human else PROTECTED_STATES
    rows = count_states(work, extraction_id, wanted)
    queued = sum(count for state, label_state, count in rows if state not in UNNAMED and label_state not in kept)
    sample = _sample(work, extraction_id, wanted, _not_labeled(replace_human), queued, sampled)
    return queued, sum(count for *_states, count in rows) - queued, sample


def plan_scores(extraction_id: int, wanted: FeatureFilter, judges: dict[str, str], *, again: bool = False) -> Select:
    """The items of a scoring run, for ``runs.create_run``: one for each matching feature's current label, queued, or
    skipped with the reason.

    Args:
        judges: who judges by which method; a label that has all these scores on the test split is skipped.
        again: score it all the same.
    """
    return _plan(extraction_id, wanted, _not_scored(judges, again), col(Feature.label_id))


def outline_scores(work: Session, extraction_id: int, wanted: FeatureFilter, judges: dict[str, str], sampled: int, *,
                   again: bool = False) -> tuple[int, int, list[int]]:
    """What ``plan_scores`` comes to, as ``outline_labels`` says it."""
    skipped = _not_scored(judges, again)
    left = func.count(case((_any(skipped), None), else_=1))
    matched, queued = work.exec(matching(select(func.count(), left).select_from(Feature), extraction_id, wanted,
                                         "label_state", every=True)).one()
    return queued, matched - queued, _sample(work, extraction_id, wanted, skipped, queued, sampled)


def _not_labeled(replace_human: bool) -> Skipped:
    rare = literal("rare: active on only ") + cast(Feature.active_tokens, String) + " tokens"
    found = [(col(Feature.state) == "dead", "dead", literal("dead: never active")),
             (col(Feature.state) == "rare", "rare", rare)]
    if not replace_human:
        found.append((col(Feature.label_state).in_(PROTECTED_STATES), "protected", literal(PROTECTED)))
    return found


def _not_scored(judges: dict[str, str], again: bool) -> Skipped:
    found = [(col(Feature.label_state).in_(("unlabeled", "rejected")), "no label", literal("no label to score"))]
    if not again:
        found.append((and_(true(), *(_has_score(method, judge) for method, judge in judges.items())), "scored",
                      literal("its label was scored by this judge before")))
    return found


def _has_score(method: str, judge: str) -> ColumnElement[bool]:
    """Whether a feature's label has such a score on the test split."""
    # What is known at once comes first: a judge that never scored, and a feature that holds no score.
    found = select(Score.id).where(Score.method == method, Score.judge == judge)
    own = found.where(Score.label_id == Feature.label_id, Score.split == "test").correlate(Feature)
    return and_(found.exists(), col(Feature.score).is_not(None), own.exists())


def _any(skipped: Skipped) -> ColumnElement[bool]:
    return or_(*(which for which, *_why in skipped))


def _plan(extraction_id: int, wanted: FeatureFilter, skipped: Skipped, label_id: ColumnElement) -> Select:
    kind = case(*((which, name) for which, name, _reason in skipped), else_="")
    reason = case(*((which, said) for which, _name, said in skipped), else_=literal(""))
    query = select(Feature.id, case((_any(skipped), "skipped"), else_="queued"), kind, reason, label_id)
    return matching(query, extraction_id, wanted, every=True).order_by(col(Feature.index))


def _sample(work: Session, extraction_id: int, wanted: FeatureFilter, skipped: Skipped, queued: int,
            most: int) -> list[int]:
    """Ids of features that are not skipped, spread evenly over the indices."""
    usable = matching(select(Feature.id), extraction_id, wanted).where(~_any(skipped)).order_by(col(Feature.index))
    # Of very many, a few hundred places are looked at: to read the ids of all takes longer than to label one.
    d_sae = work.get_one(Extraction, extraction_id).d_sae
    places = range(0, d_sae, max(1, d_sae // LOOKED_AT))
    found = work.exec(usable.where(col(Feature.index).in_(places)) if queued > LOOKED_AT else usable).all()
    if len(found) < min(most, queued):
        found = work.exec(usable).all()
    return spread_evenly(found, most)


def spread_evenly(found: Sequence[T], most: int) -> list[T]:
    """At most so many of them, from the first to the last."""
    if len(found) <= most:
        return list(found)
    return [found[round(place * (len(found) - 1) / max(most - 1, 1))] for place in range(most)]
