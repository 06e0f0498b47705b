"""Runs: the lease that keeps two workers off one run, and how far it is. Their items: ``store.items``."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from statistics import mean

from sqlalchemy import Select, bindparam, func, insert, literal, or_, update
from sqlmodel import Session, col, select

from mistudio.access import visitor
from mistudio.errors import StoreError
from mistudio.store.tables import Feature, Label, Run, RunItem, Score, UTCDateTime, now

# A worker beats every half second; one that has been silent so long is gone, or waits for the database.
STALE = timedelta(seconds=30)
ITEM_STATES = ("queued", "done", "failed", "skipped")
# States in which nobody works on a run; the first ones wait for a worker.
FOR_WORKERS = ("queued", "interrupted")
IDLE = (*FOR_WORKERS, "waiting", "paused", "cancelled", "failed")
_RUNS = Run.__table__
_BEAT = update(_RUNS).where(_RUNS.c.id == bindparam("of_run"), or_(
    _RUNS.c.owner == bindparam("by"), (_RUNS.c.owner == "") & (_RUNS.c.state == "interrupted"))).values(
    owner=bindparam("by"), heartbeat=bindparam("heartbeat"), state="running", message="",
    finished_at=None).returning(_RUNS.c.stop)
# The state that asking to stop leads to.
STOPPED = {"pause": "paused", "cancel": "cancelled"}


def create_run(work: Session, extraction_id: int, config: dict, items: Select | list[dict], kind: str = "label") -> Run:
    """A queued run with its items: a plan of ``store.plans``, which the database writes by itself, or a dict of columns
    each."""
    run = Run(extraction_id=extraction_id, kind=kind, config=config, heartbeat=now(),
              author=visitor().name)
    work.add(run)
    work.flush()
    if isinstance(items, Select):
        rest = literal(run.id), literal(""), literal(now(), UTCDateTime)
        work.exec(insert(RunItem).from_select(
            ["feature_id", "state", "reason_kind", "reason", "label_id", "run_id", "reply", "updated_at"],
            items.add_columns(*rest)))
    elif items:
        work.exec(insert(RunItem), params=[
            {"run_id": run.id, "reply": "", "label_id": None, "updated_at": now(), **item} for item in items])
    return run


def list_runs(work: Session, extraction_id: int | None = None, limit: int | None = 50) -> list[Run]:
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


def recent_labels(work: Session, run_id: int, limit: int = 20) -> list[tuple[Feature, Label]]:
    """The labels a run chose (or scored) last, newest first, each with its feature."""
    kind = work.get_one(Run, run_id).kind
    # By the newest row written: there is an index for that, and none for the time an item was closed.
    newest, of_run = (Label.id, Label.run_id) if kind == "label" else (func.max(Score.id), Score.run_id)
    query = (select(Feature, Label).join(Label, col(Label.feature_id) == Feature.id)
             .join(RunItem, col(RunItem.label_id) == Label.id).where(RunItem.run_id == run_id, of_run == run_id))
    if kind != "label":
        query = query.join(Score, col(Score.label_id) == Label.id).group_by(Feature.id, Label.id)
    return [tuple(row) for row in work.exec(query.order_by(newest.desc()).limit(limit))]


def seconds_a_label(work: Session, provider: str, model: str = "") -> tuple[float, float] | None:
    """How long an answer of a provider (and of one of its models) takes: ``spread`` of the last 50, in seconds; None
    when it never answered."""
    answered = [Label.provider == provider, col(Label.seconds).is_not(None)]
    if model:
        answered.append(Label.model == model)
    return spread(work.exec(select(Label.seconds).where(*answered).order_by(col(Label.id).desc()).limit(50)).all())


def seconds_a_score(work: Session, judges: dict[str, str]) -> tuple[float, float] | None:
    """How long it takes to score a label by all these methods, in seconds: sums of the ``spread`` of each one's last
    50 scores; None when one of them never scored.

    Args:
        judges: who judges, by method.
    """
    each = [spread(work.exec(select(Score.seconds).where(Score.method == method, Score.judge == judge)
                             .order_by(col(Score.id).desc()).limit(50)).all()) for method, judge in judges.items()]
    return None if None in each else tuple(map(sum, zip(*each, strict=True)))


def spread(seconds: Sequence[float | None]) -> tuple[float, float] | None:
    """Between which two values the mean of many more will likely lie: the quartiles, or the mean where that is outside
    of them; None of no values."""
    known = sorted(value for value in seconds if value is not None)
    if not known:
        return None
    low, high = known[(len(known) - 1) // 4], known[-(-3 * (len(known) - 1) // 4)]
    return min(low, mean(known)), max(high, mean(known))


def request_stop(work: Session, run_id: int, stop: str) -> None:
    """Ask a run to end after the calls in flight; one that nobody works on ends at once.

    Args:
        stop: ``pause`` or ``cancel``. Both can be resumed; a cancelled run is one that somebody gave up.
    """
    run = get_run(work, run_id)
    if run.state in FOR_WORKERS or (run.state in ("paused", "waiting") and stop == "cancel"):
        run.state, run.finished_at = STOPPED[stop], now()
    elif run.state == "running":
        run.stop = stop
    work.add(run)


def take_lease(work: Session, run_id: int, owner: str, states: Collection[str] = FOR_WORKERS) -> bool:
    """Become the one worker of a run in one of these states. False when it has a live one, or is in another state."""
    get_run(work, run_id)
    waiting = (col(Run.id) == run_id) & (col(Run.state).in_(states)) & (col(Run.owner) == "")
    taken = work.exec(update(Run).where(waiting).values(
        owner=owner, heartbeat=now(), state="running", message="", finished_at=None,
        started_at=func.coalesce(Run.started_at, now())))
    return taken.rowcount == 1


def beat(work: Session, run_id: int, owner: str) -> str | None:
    """Keep the lease; take it back if it ran out and nobody else came (the database was locked, the computer slept).

    Returns:
        What somebody asked the worker to do: "", pause or cancel. None when the lease is lost.
    """
    return work.exec(_BEAT, params={"of_run": run_id, "by": owner, "heartbeat": now()}).scalar_one_or_none()


def release(work: Session, run_id: int, owner: str, state: str, message: str = "") -> None:
    """Give the lease back and leave the run in a state."""
    work.exec(update(Run).where(col(Run.id) == run_id, col(Run.owner) == owner).values(
        owner="", stop="", state=state, message=message, finished_at=now()))


def add_to_config(work: Session, run_id: int, **more: object) -> None:
    """Remember something on a run, beside the options it was started with."""
    run = get_run(work, run_id)
    run.config = run.config | more
    work.add(run)


def fail_unowned(work: Session, run_id: int, message: str) -> None:
    """Mark a run that nobody works on as failed; a live or finished one is left alone."""
    work.exec(update(Run).where(col(Run.id) == run_id, col(Run.owner) == "",
                                col(Run.state).in_(FOR_WORKERS))
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
        run.state, run.stop, run.message, run.finished_at, run.heartbeat = "queued", "", "", None, now()
    elif run.state == "interrupted":
        run.state, run.message = "done", ""
    work.add(run)
    return queued


def _interrupt_stale(work: Session) -> None:
    if not visitor().may_write:
        return  # whoever only looks around leaves that to those who can go on with it
    # One that waits so long was left by a program that ended before it began.
    gone = col(Run.state).in_(("queued", "running")) & (col(Run.heartbeat) < now() - STALE)
    # Most readings find none, and a reading should not take the write lock.
    if work.exec(select(Run.id).where(gone)).first() is not None:
        work.exec(update(Run).where(gone).values(state="interrupted", owner="", stop="", finished_at=now(),
                                                 message="No program works on it any more."))
