"""The items of a run: which features it takes, which wait, and what came of each, stored in one transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sqlalchemy import Float, Integer, bindparam, case, func, update
from sqlalchemy.orm import make_transient
from sqlmodel import Session, col, select

from mistudio.store.counts import count_states
from mistudio.store.current import PROTECTED_STATES
from mistudio.store.filtering import FeatureFilter, matching
from mistudio.store.labels import add_to_history, make_current
from mistudio.store.runs import beat
from mistudio.store.scores import add_score, scored
from mistudio.store.tables import Extraction, Feature, Label, Run, RunItem, Score, now

# Places among the features where an outline looks for a sample.
LOOKED_AT = 512
# States of features that nobody can name.
UNNAMED = ("dead", "rare")
T = TypeVar("T")
PROTECTED = "a person wrote or approved its label"
# What closing items says, prepared once: to build such statements anew takes longer than to run them.
_ITEMS, _RUNS = RunItem.__table__, Run.__table__
_OPEN = select(_ITEMS.c.feature_id).where(
    _ITEMS.c.run_id == bindparam("of_run"), _ITEMS.c.state == "queued",
    _ITEMS.c.feature_id.in_(bindparam("of_features", expanding=True)))
_CLOSE = (update(_ITEMS).where(_ITEMS.c.run_id == bindparam("of_run"), _ITEMS.c.feature_id == bindparam("of_feature"))
          .values(label_id=func.coalesce(bindparam("label", type_=Integer), _ITEMS.c.label_id)))
_USED = update(_RUNS).where(_RUNS.c.id == bindparam("of_run")).values(
    prompt_tokens=_RUNS.c.prompt_tokens + bindparam("asked"),
    completion_tokens=_RUNS.c.completion_tokens + bindparam("answered"),
    cost=case((_RUNS.c.cost.is_(None), bindparam("cost", type_=Float)),
              else_=_RUNS.c.cost + bindparam("more", type_=Float)))


class Item(NamedTuple):
    """A feature that waits in a run. ``label_id`` is the label to score; None in a labeling run."""

    feature_id: int
    index: int
    label_id: int | None = None


@dataclass
class Outcome:
    """What came of one item, not stored yet.

    ``labels`` are new labels, each with its scores; the last one is the answer and becomes current, unless ``current``
    is false: then the label that the feature has is the better one. ``scores`` belong to labels that are stored
    already. ``reply`` is kept where there is no label. ``asked`` says that a model was asked; tokens and cost (US
    dollars) are None where they are not known. ``text`` is what came of it, for whoever watches.
    """

    state: str = "done"
    reason_kind: str = ""
    reason: str = ""
    reply: str = ""
    labels: list[tuple[Label, list[Score]]] = field(default_factory=list)
    current: bool = True
    scores: list[Score] = field(default_factory=list)
    asked: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    text: str = ""


def spread_evenly(found: Sequence[T], most: int) -> list[T]:
    """At most so many of them, from the first to the last."""
    if len(found) <= most:
        return list(found)
    return [found[round(place * (len(found) - 1) / max(most - 1, 1))] for place in range(most)]


def plan_labels(work: Session, extraction_id: int, wanted: FeatureFilter, *, replace_human: bool = False) -> list[dict]:
    """One item for each matching feature, in order of index: queued, or skipped with the reason."""
    query = matching(select(Feature.id, Feature.state, Feature.active_tokens, Feature.label_state), extraction_id,
                     wanted)
    items = []
    for feature_id, state, active, label_state in work.exec(query.order_by(col(Feature.index))):
        kind, reason = "", ""
        if state == "dead":
            kind, reason = "dead", "dead: never active"
        elif state == "rare":
            kind, reason = "rare", f"rare: active on only {active} tokens"
        elif not replace_human and label_state in PROTECTED_STATES:
            kind, reason = "protected", PROTECTED
        items.append({"feature_id": feature_id, "state": "skipped" if kind else "queued", "reason_kind": kind,
                      "reason": reason})
    return items


def outline_labels(work: Session, extraction_id: int, wanted: FeatureFilter, sampled: int, *,
                   replace_human: bool = False) -> tuple[int, int, list[int]]:
    """What ``plan_labels`` comes to, without a row a feature.

    Returns:
        How many items are queued, how many are skipped, and ids of up to so many features of queued ones, spread evenly
        over the indices.
    """
    kept = () if replace_human else PROTECTED_STATES
    rows = count_states(work, extraction_id, wanted)
    queued = sum(count for state, label_state, count in rows if state not in UNNAMED and label_state not in kept)
    usable = matching(select(Feature.id), extraction_id, wanted).where(
        col(Feature.state).not_in(UNNAMED), col(Feature.label_state).not_in(kept)).order_by(col(Feature.index))
    # Of very many, a few hundred places are looked at: to read the ids of all takes longer than to label one.
    d_sae = work.get_one(Extraction, extraction_id).d_sae
    places = range(0, d_sae, max(1, d_sae // LOOKED_AT))
    found = work.exec(usable.where(col(Feature.index).in_(places)) if queued > LOOKED_AT else usable).all()
    if len(found) < min(sampled, queued):
        found = work.exec(usable).all()
    return queued, sum(count for *_states, count in rows) - queued, spread_evenly(found, sampled)


def plan_scores(work: Session, extraction_id: int, wanted: FeatureFilter, judges: dict[str, str], *,
                again: bool = False) -> list[dict]:
    """One item for each matching feature's current label: queued, or skipped with the reason.

    Args:
        judges: who judges by which method; a label that has all these scores on the test split is skipped.
        again: score it all the same.
    """
    query = matching(select(Feature.id, Feature.label_id, Feature.label_state), extraction_id, wanted)
    known = {} if again else scored(work, extraction_id, "test")
    items = []
    for feature_id, label_id, label_state in work.exec(query.order_by(col(Feature.index))):
        kind, reason = "", ""
        if label_state in ("unlabeled", "rejected"):
            kind, reason = "no label", "no label to score"
        elif set(judges.items()) <= known.get(label_id, set()):
            kind, reason = "scored", "its label was scored by this judge before"
        items.append({"feature_id": feature_id, "state": "skipped" if kind else "queued", "reason_kind": kind,
                      "reason": reason, "label_id": label_id})
    return items


def queued_items(work: Session, run_id: int, after: int = -1, limit: int | None = None) -> list[Item]:
    """The items still to do with an index above ``after``, in order of index."""
    query = (select(Feature.id, Feature.index, RunItem.label_id)
             .join(RunItem, col(RunItem.feature_id) == Feature.id)
             .where(RunItem.run_id == run_id, RunItem.state == "queued", Feature.index > after)
             .order_by(col(Feature.index)).limit(limit))
    return [Item(*row) for row in work.exec(query)]


class Held(NamedTuple):
    """An item of a run in whatever state, with the reply that is stored on it."""

    item: Item
    state: str
    reply: str


def items_of(work: Session, run_id: int, feature_ids: Collection[int]) -> dict[int, Held]:
    """Those of these features that the run has, by feature id."""
    query = (select(Feature.id, Feature.index, RunItem.label_id, RunItem.state, RunItem.reply)
             .join(RunItem, col(RunItem.feature_id) == Feature.id)
             .where(RunItem.run_id == run_id, col(Feature.id).in_(feature_ids)))
    return {row[0]: Held(Item(*row[:3]), *row[3:]) for row in work.exec(query)}


def keep_reply(work: Session, run_id: int, feature_id: int, owner: str, reply: str) -> bool:
    """Keep what has been answered so far on a queued item. False when it is closed already or the lease is lost."""
    held = select(Run.id).where(Run.id == run_id, Run.owner == owner).exists()
    kept = work.exec(update(RunItem).where(
        col(RunItem.run_id) == run_id, col(RunItem.feature_id) == feature_id, col(RunItem.state) == "queued",
        held).values(reply=reply, updated_at=now()))
    return kept.rowcount == 1


def failures_by_reason(work: Session, run_id: int, state: str = "failed") -> list[tuple[str, str, int]]:
    """``(kind, one reason of that kind, count)`` of failed (or skipped) items, most frequent first."""
    count = func.count()
    query = (select(RunItem.reason_kind, func.min(RunItem.reason), count)
             .where(RunItem.run_id == run_id, RunItem.state == state).group_by(RunItem.reason_kind)
             .order_by(count.desc(), RunItem.reason_kind))
    return [tuple(row) for row in work.exec(query)]


def failed_items(work: Session, run_id: int, limit: int = 100, kind: str | None = None) -> list[tuple[int, RunItem]]:
    """``(feature index, item)`` of failed items, in order of index: reason and raw reply are on the item.

    Args:
        kind: only those that failed for reasons of this kind.
    """
    query = (select(Feature.index, RunItem).join(RunItem, col(RunItem.feature_id) == Feature.id)
             .where(RunItem.run_id == run_id, RunItem.state == "failed").order_by(col(Feature.index)).limit(limit))
    if kind is not None:
        query = query.where(RunItem.reason_kind == kind)
    return [tuple(row) for row in work.exec(query)]


def store_labels(work: Session, outcomes: Collection[Outcome], *, replace_protected: bool = False) -> set[int]:
    """Store the labels and scores of outcomes, each of another feature. Returns ids of labels that are current now."""
    add_to_history(work, [label for outcome in outcomes for label, _scores in outcome.labels])
    for outcome in outcomes:
        for label, scores in outcome.labels:
            for score in scores:
                add_score(work, score, label)
        for score in outcome.scores:
            add_score(work, score, work.get_one(Label, score.label_id))
    chosen = [outcome.labels[-1][0] for outcome in outcomes if outcome.labels and outcome.current]
    return make_current(work, chosen, replace_protected=replace_protected) if chosen else set()


def finish_items(work: Session, run_id: int, owner: str, outcomes: Mapping[int, Outcome], *,
                 replace_protected: bool = False) -> tuple[str | None, dict[int, str]]:
    """Close items together with their labels, their scores and what they used, all in the caller's transaction.

    A label that meets one a person wrote meanwhile goes to the history only, and its item is skipped. When the
    transaction fails, the same outcomes can be given again.

    Args:
        outcomes: by feature id.

    Returns:
        What ``runs.beat`` says, for this keeps the lease (None: it is lost, and nothing is written); and by feature id
        the state of each item now. One that was closed already is left as it is, and not among them.
    """
    # The write comes first: on SQLite a transaction that reads and then writes can fail at once under load. It also
    # keeps any other worker off the run until this transaction has ended.
    stop = beat(work, run_id, owner)
    if stop is None:
        return None, {}
    still_open = set(work.exec(_OPEN, params={"of_run": run_id, "of_features": list(outcomes)}))
    mine = {feature_id: outcome for feature_id, outcome in outcomes.items() if feature_id in still_open}
    if not mine:
        return stop, {}
    for outcome in mine.values():
        for row in (*outcome.scores, *(row for label, scores in outcome.labels for row in (label, *scores))):
            make_transient(row)  # a transaction that failed has left its mark on it, and a number others may have now
            row.id = None
    current = store_labels(work, mine.values(), replace_protected=replace_protected)
    rows = [{"of_run": run_id, "of_feature": feature_id, "updated_at": now(), **_closed(outcome, current)}
            for feature_id, outcome in mine.items()]
    work.exec(_CLOSE, params=rows)
    costs = [outcome.cost for outcome in mine.values() if outcome.cost is not None]
    work.exec(_USED, params={
        "of_run": run_id, "cost": sum(costs) if costs else None, "more": sum(costs),
        "asked": sum(outcome.prompt_tokens or 0 for outcome in mine.values()),
        "answered": sum(outcome.completion_tokens or 0 for outcome in mine.values())})
    return stop, {row["of_feature"]: row["state"] for row in rows}


def _closed(outcome: Outcome, current: set[int]) -> dict:
    """How an item is left, when these labels are current now."""
    label = outcome.labels[-1][0] if outcome.labels else None
    if label is not None and outcome.current and label.id not in current:
        left = {"state": "skipped", "reason_kind": "protected", "reason": PROTECTED}
    else:
        left = {"state": outcome.state, "reason_kind": outcome.reason_kind, "reason": outcome.reason}
    return left | {"reply": "" if label else outcome.reply, "label": label.id if label else None}
