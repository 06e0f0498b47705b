"""Runs and their items: the queue, the lease that keeps two workers off one run, and what came of each feature."""

from datetime import timedelta

from sqlalchemy import case, func, insert, update
from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from mistudio.errors import StoreError
from mistudio.store.features import FeatureFilter, _matching
from mistudio.store.labels import add_label, is_protected
from mistudio.store.tables import Feature, Label, Run, RunItem, now

# A worker beats every two seconds; one that has been silent so long is gone.
STALE = timedelta(seconds=30)
ITEM_STATES = ("queued", "done", "failed", "skipped")
PROTECTED = "a person wrote or approved its label"


def plan_items(work: Session, extraction_id: int, wanted: FeatureFilter, *, replace_human: bool = False) -> list[dict]:
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


def create_run(work: Session, extraction_id: int, config: dict, items: list[dict], kind: str = "label") -> Run:
    """A queued run with its items (as ``plan_items`` makes them)."""
    run = Run(extraction_id=extraction_id, kind=kind, config=config, heartbeat=now())
    work.add(run)
    work.flush()
    if items:
        work.exec(insert(RunItem), params=[
            {"run_id": run.id, "reply": "", "label_id": None, "updated_at": now(), **item} for item in items])
    return run


def list_runs(work: Session, extraction_id: int | None = None, limit: int = 50) -> list[Run]:
    """Runs, newest first. A run whose worker is gone turns to interrupted first."""
    _interrupt_stale(work)
    query = select(Run).order_by(col(Run.id).desc()).limit(limit)
    return list(work.exec(query if extraction_id is None else query.where(Run.extraction_id == extraction_id)))


def get_run(work: Session, run_id: int) -> Run:
    """One run; interrupted if its worker is gone.

    Raises:
        StoreError: there is no such run.
    """
    _interrupt_stale(work)
    run = work.get(Run, run_id)
    if run is None:
        raise StoreError(f"There is no run {run_id}.", "List them with: python -m mistudio runs")
    return run


def run_counts(work: Session, run_id: int) -> dict[str, int]:
    """Number of items in each of the states queued, done, failed and skipped."""
    rows = work.exec(select(RunItem.state, func.count()).where(RunItem.run_id == run_id).group_by(RunItem.state))
    return dict.fromkeys(ITEM_STATES, 0) | dict(rows.all())


def queued_features(work: Session, run_id: int) -> list[tuple[int, int]]:
    """``(feature id, index)`` of the features still to do, in order of index."""
    query = (select(Feature.id, Feature.index).join(RunItem, col(RunItem.feature_id) == Feature.id)
             .where(RunItem.run_id == run_id, RunItem.state == "queued").order_by(col(Feature.index)))
    return [tuple(row) for row in work.exec(query)]


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


def recent_labels(work: Session, run_id: int, limit: int = 20) -> list[tuple[Feature, Label]]:
    """The labels a run wrote last, newest first, each with its feature."""
    query = (select(Feature, Label).join(Label, col(Label.feature_id) == Feature.id)
             .where(Label.run_id == run_id).order_by(col(Label.id).desc()).limit(limit))
    return [tuple(row) for row in work.exec(query)]


def seconds_a_label(work: Session, provider: str, model: str = "") -> float | None:
    """Mean seconds of the last 50 answers of a provider (and of one of its models); None when it never answered."""
    answered = [Label.provider == provider, col(Label.seconds).is_not(None)]
    if model:
        answered.append(Label.model == model)
    last = select(Label.seconds).where(*answered).order_by(col(Label.id).desc()).limit(50).subquery()
    return work.exec(select(func.avg(last.c.seconds))).one()


def request_cancel(work: Session, run_id: int) -> None:
    """Ask a run to stop after the calls in flight; one that nobody works on stops at once."""
    run = get_run(work, run_id)
    if run.state in ("queued", "interrupted"):
        run.state, run.finished_at = "cancelled", now()
    elif run.state == "running":
        run.cancel = True
    work.add(run)


def take_lease(work: Session, run_id: int, owner: str) -> bool:
    """Become the one worker of a run. False when it has a live one, or is not waiting for any."""
    get_run(work, run_id)
    waiting = (col(Run.id) == run_id) & (col(Run.state).in_(("queued", "interrupted"))) & (col(Run.owner) == "")
    taken = work.exec(update(Run).where(waiting).values(
        owner=owner, heartbeat=now(), state="running", message="", finished_at=None,
        started_at=func.coalesce(Run.started_at, now())))
    return taken.rowcount == 1


def beat(work: Session, run_id: int, owner: str) -> bool | None:
    """Keep the lease. True when the run was asked to stop, False when not, None when the lease is lost."""
    kept = work.exec(update(Run).where(col(Run.id) == run_id, col(Run.owner) == owner).values(heartbeat=now()))
    if kept.rowcount != 1:
        return None
    return work.exec(select(Run.cancel).where(Run.id == run_id)).one()


def release(work: Session, run_id: int, owner: str, state: str, message: str = "") -> None:
    """Give the lease back and leave the run in a state."""
    work.exec(update(Run).where(col(Run.id) == run_id, col(Run.owner) == owner).values(
        owner="", cancel=False, state=state, message=message, finished_at=now()))


def fail_unowned(work: Session, run_id: int, message: str) -> None:
    """Mark a run that nobody works on as failed; a live or finished one is left alone."""
    work.exec(update(Run).where(col(Run.id) == run_id, col(Run.owner) == "",
                                col(Run.state).in_(("queued", "interrupted")))
              .values(state="failed", message=message, finished_at=now()))


def reopen(work: Session, run_id: int, *, failed_too: bool = False) -> int:
    """Make a stopped run wait for a worker again; its done items stay done.

    Args:
        failed_too: also queue its failed items again.

    Returns:
        How many items are queued now.

    Raises:
        StoreError: a worker is on it.
    """
    run = get_run(work, run_id)
    if run.state == "running":
        raise StoreError(f"Run {run_id} is being worked on.", "Wait until it ends, or cancel it first.")
    if failed_too:
        work.exec(update(RunItem).where(col(RunItem.run_id) == run_id, col(RunItem.state) == "failed").values(
            state="queued", reason_kind="", reason="", reply="", updated_at=now()))
    queued = run_counts(work, run_id)["queued"]
    if queued:
        run.state, run.cancel, run.message, run.finished_at, run.heartbeat = "queued", False, "", None, now()
    elif run.state == "interrupted":
        run.state, run.message = "done", ""
    work.add(run)
    return queued


def finish_item(work: Session, run_id: int, feature_id: int, owner: str, *, label: Label | None = None,
                state: str = "done", reason_kind: str = "", reason: str = "", reply: str = "",
                usage: tuple[int | None, int | None, float | None] = (None, None, None),
                replace_protected: bool = False) -> bool:
    """Close one item together with its label and what it used, all in the caller's transaction.

    A label that meets one a person wrote meanwhile goes to the history only, and its item is skipped.

    Args:
        usage: prompt tokens, completion tokens, US dollars; None for what is not known.

    Returns:
        False, and nothing is written, when the item is closed already or the lease is lost.
    """
    # The write comes first: on SQLite a transaction that reads and then writes can fail at once under load.
    held = select(Run.id).where(Run.id == run_id, Run.owner == owner).exists()
    closed = work.exec(update(RunItem).where(
        col(RunItem.run_id) == run_id, col(RunItem.feature_id) == feature_id, col(RunItem.state) == "queued", held)
        .values(state=state, reason_kind=reason_kind, reason=reason, reply=reply, updated_at=now()))
    if closed.rowcount != 1:
        return False
    if label is not None:
        current = add_label(work, label, replace_protected=replace_protected)
        kept_out = {} if current else {"state": "skipped", "reason_kind": "protected", "reason": PROTECTED}
        work.exec(update(RunItem).where(col(RunItem.run_id) == run_id, col(RunItem.feature_id) == feature_id)
                  .values(label_id=label.id, **kept_out))
    prompt, completion, cost = usage
    work.exec(update(Run).where(col(Run.id) == run_id).values(
        prompt_tokens=Run.prompt_tokens + (prompt or 0), completion_tokens=Run.completion_tokens + (completion or 0),
        cost=case((col(Run.cost).is_(None), cost), else_=Run.cost + (cost or 0.0))))
    return True


def _interrupt_stale(work: Session) -> None:
    # One that waits so long was left by a program that ended before it began.
    gone = col(Run.state).in_(("queued", "running")) & (col(Run.heartbeat) < now() - STALE)
    # Most readings find none, and a reading should not take the write lock.
    if work.exec(select(Run.id).where(gone)).first() is not None:
        work.exec(update(Run).where(gone).values(state="interrupted", owner="", cancel=False, finished_at=now(),
                                                 message="No program works on it any more."))
