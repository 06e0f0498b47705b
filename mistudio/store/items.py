"""The items of a run: which features it takes, which wait, and what came of each, stored in one transaction."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import case, func, update
from sqlalchemy.orm import load_only, make_transient
from sqlmodel import Session, col, select

from mistudio.store.features import FeatureFilter, _matching
from mistudio.store.labels import add_label, is_protected
from mistudio.store.scores import add_score, scored
from mistudio.store.tables import Feature, Label, Run, RunItem, Score, now

PROTECTED = "a person wrote or approved its label"


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


def plan_labels(work: Session, extraction_id: int, wanted: FeatureFilter, *, replace_human: bool = False) -> list[dict]:
    """One item for each matching feature, in order of index: queued, or skipped with the reason."""
    query = _matching(select(Feature.id, Feature.state, Feature.active_tokens, Label), extraction_id, wanted)
    rows = work.exec(query.order_by(col(Feature.index)).options(load_only(Label.origin, Label.verdict)))
    items = []
    for feature_id, state, active, label in rows:
        kind, reason = "", ""
        if state == "dead":
            kind, reason = "dead", "dead: never active"
        elif state == "rare":
            kind, reason = "rare", f"rare: active on only {active} tokens"
        elif not replace_human and is_protected(label):
            kind, reason = "protected", PROTECTED
        items.append({"feature_id": feature_id, "state": "skipped" if kind else "queued", "reason_kind": kind,
                      "reason": reason})
    return items


def plan_scores(work: Session, extraction_id: int, wanted: FeatureFilter, judges: dict[str, str], *,
                again: bool = False) -> list[dict]:
    """One item for each matching feature's current label: queued, or skipped with the reason.

    Args:
        judges: who judges by which method; a label that has all these scores on the test split is skipped.
        again: score it all the same.
    """
    query = _matching(select(Feature.id, Feature.label_id, Label.verdict), extraction_id, wanted)
    known = {} if again else scored(work, extraction_id, "test")
    items = []
    for feature_id, label_id, verdict in work.exec(query.order_by(col(Feature.index))):
        kind, reason = "", ""
        if label_id is None or verdict == "rejected":
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


def failed_items(work: Session, run_id: int, limit: int = 100) -> list[tuple[int, RunItem]]:
    """``(feature index, item)`` of failed items, in order of index: reason and raw reply are on the item."""
    query = (select(Feature.index, RunItem).join(RunItem, col(RunItem.feature_id) == Feature.id)
             .where(RunItem.run_id == run_id, RunItem.state == "failed").order_by(col(Feature.index)).limit(limit))
    return [tuple(row) for row in work.exec(query)]


def store_labels(work: Session, outcome: Outcome, *, replace_protected: bool = False) -> tuple[Label | None, bool]:
    """Store the labels and scores of an outcome. Returns the chosen label, and whether it is current now."""
    chosen, current = None, False
    for place, (label, scores) in enumerate(outcome.labels, 1):
        chosen = label
        current = add_label(work, label, replace_protected=replace_protected,
                            current=place == len(outcome.labels) and outcome.current)
        for score in scores:
            add_score(work, score, label)
    for score in outcome.scores:
        add_score(work, score, work.get_one(Label, score.label_id))
    return chosen, current


def finish_item(work: Session, run_id: int, feature_id: int, owner: str, outcome: Outcome, *,
                replace_protected: bool = False) -> str:
    """Close one item together with its labels, its scores and what it used, all in the caller's transaction.

    A label that meets one a person wrote meanwhile goes to the history only, and its item is skipped. When the
    transaction fails, the same outcome can be given again.

    Returns:
        The state of the item now; "", and nothing is written, when it is closed already or the lease is lost.
    """
    # The write comes first: on SQLite a transaction that reads and then writes can fail at once under load.
    mine = (col(RunItem.run_id) == run_id) & (col(RunItem.feature_id) == feature_id)
    held = select(Run.id).where(Run.id == run_id, Run.owner == owner).exists()
    closed = work.exec(update(RunItem).where(mine, col(RunItem.state) == "queued", held).values(
        state=outcome.state, reason_kind=outcome.reason_kind, reason=outcome.reason,
        reply="" if outcome.labels else outcome.reply, updated_at=now()))
    if closed.rowcount != 1:
        return ""
    for row in (*outcome.scores, *(row for label, scores in outcome.labels for row in (label, *scores))):
        make_transient(row)  # a transaction that failed has left its mark on the row, and a number others may have now
        row.id = None
    label, became_current = store_labels(work, outcome, replace_protected=replace_protected)
    changed = {}
    if label is not None:
        changed = {"label_id": label.id}
        if outcome.current and not became_current:
            changed |= {"state": "skipped", "reason_kind": "protected", "reason": PROTECTED}
        work.exec(update(RunItem).where(mine).values(**changed))
    cost = outcome.cost
    work.exec(update(Run).where(col(Run.id) == run_id).values(
        prompt_tokens=Run.prompt_tokens + (outcome.prompt_tokens or 0),
        completion_tokens=Run.completion_tokens + (outcome.completion_tokens or 0),
        cost=case((col(Run.cost).is_(None), cost), else_=Run.cost + (cost or 0.0))))
    return changed.get("state", outcome.state)
