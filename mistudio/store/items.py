"""The items of a run: which wait, and what came of each, in one transaction. ``store.plans`` says which there are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Float, Integer, bindparam, case, func, update
from sqlalchemy.orm import make_transient
from sqlmodel import Session, col, select

from mistudio.store.labels import add_to_history, make_current
from mistudio.store.runs import beat
from mistudio.store.scores import add_score
from mistudio.store.tables import Feature, Label, Run, RunItem, Score, now

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
