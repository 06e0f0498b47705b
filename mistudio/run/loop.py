"""The run loop: a few calls in flight at any time, each answer committed as it lands, with those that land beside it.

What the next calls ask is prepared while others are in flight, so that an answer is followed by the next question.
A killed process loses only the calls in flight: their items are still queued, and resuming takes them up. While the
database cannot be written (locked by another program, disk full, server restarted) answers wait in memory, no more
than calls may be in flight. A run that is to stop waits for the calls in flight, but for no longer than one answer may
take: a client that tries again on its own, or a feature of many calls, would hold it up.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from mistudio.access import carried
from mistudio.errors import ProviderSetupError, StoreError
from mistudio.run.budget import Budget
from mistudio.run.job import UNREACHABLE, Job, defect, guarded
from mistudio.run.width import Width
from mistudio.store import runs, session
from mistudio.store.failures import failure
from mistudio.store.items import Item, Outcome, finish_items, queued_items

log = logging.getLogger(__name__)
# How often a waiting loop looks up: a wish to stop is seen within this time, and the lease kept. Seconds.
LOOK_UP = 0.5
# Items read from the queue at a time, so that memory stays flat however long the run is.
PAGE = 1000
# Items that are made ready together, by one thread: what is read for them is read at once.
TOGETHER = 16


@dataclass(frozen=True)
class RunProgress:
    """Where a run stands: items by state, and the item that was closed last (index None before the first).

    ``text`` is what came of it, or the reason why nothing did. ``trouble`` says why the run waits, "" while it does
    not.
    """

    counts: dict[str, int]
    index: int | None = None
    state: str = ""
    text: str = ""
    trouble: str = ""


OnProgress = Callable[[RunProgress], None]


def work(engine: Engine, run_id: int, job: Job, on_progress: OnProgress | None = None) -> str:
    """Work on a run until its items are closed, somebody stops it, or it cannot go on.

    Returns:
        The run's state: done, paused, cancelled, failed (its message says why; items left stay queued) or interrupted.

    Raises:
        StoreError: there is no such run, or another worker has it.
    """
    owner = worker_name()
    loop = Loop(engine, run_id, owner, job, on_progress)
    if not loop.write(lambda store: runs.take_lease(store, run_id, owner)):
        raise StoreError(f"Run {run_id} is not waiting for a worker.",
                         "It is being worked on, or has ended; resume it or retry what failed.")
    state, message = "interrupted", "It was stopped before its end."
    try:
        state, message = loop.run()
    finally:
        loop.write(lambda store: runs.release(store, run_id, owner, state, message))
    return state


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def resume(engine: Engine, run_id: int, *, failed_too: bool = False) -> int:
    """Make a stopped run wait for a worker again; what is done stays done.

    Args:
        failed_too: ask again for what failed.

    Returns:
        How many features are left to do.

    Raises:
        StoreError: there is no such run, or it is being worked on.
    """
    with session(engine) as store:
        return runs.reopen(store, run_id, failed_too=failed_too)


class Loop:
    """One worker on one run. Calls happen in other threads; only the thread that runs the loop writes.

    An item goes from ``todo`` to ``preparing``, ``ready``, ``flying``, and out. What came of it in another thread
    returns in ``back``.
    """

    def __init__(self, engine: Engine, run_id: int, owner: str, job: Job, on_progress: OnProgress | None):
        self.engine, self.run_id, self.owner, self.job, self.on_progress = engine, run_id, owner, job, on_progress
        self.todo: deque[Item] = deque()
        self.preparing: set[Item] = set()
        self.ready: deque[tuple[Item, object]] = deque()
        self.flying: dict[Item, object] = {}
        self.to_prepare: SimpleQueue[list[Item] | None] = SimpleQueue()
        self.to_ask: SimpleQueue[list[Item] | None] = SimpleQueue()
        self.back: SimpleQueue[list[tuple[Item, object | Outcome | Exception]]] = SimpleQueue()
        self.width = Width(job.config.concurrency or job.concurrency)
        self.limits = job.rate_limits()
        self.counts: dict[str, int] = {}
        self.after = -1
        self.end: tuple[str, str] | None = None
        self.trouble = ""
        self.looked, self.leave = 0.0, float("inf")

    def run(self) -> tuple[str, str]:
        """State and message to leave the run in."""
        self._begin()
        # Not a pool of the library: a process that is asked to end would wait for its threads, and they for a server.
        threads = [(self.job.prepare, self.to_prepare)] + [(self._ask, self.to_ask)] * self.width.wanted
        for work in threads:
            threading.Thread(target=carried(self._work), args=work, name=f"run-{self.run_id}", daemon=True).start()
        try:
            self._work_off()
        finally:
            for _work_on, queue in threads:
                queue.put(None)
        return self.end or ("done", "")

    def _work_off(self) -> None:
        while self.todo or self._under_way():
            if time.monotonic() - self.looked >= LOOK_UP:
                self._heed(self.write(self._beat))
            self._send()
            waits = self.flying or (self.preparing and self.end is None)
            if not waits or time.monotonic() >= self.leave:
                break
            self._take_in()
            if not self.todo and self.end is None:
                self._fill()

    def _under_way(self) -> bool:
        return bool(self.preparing or self.ready or self.flying)

    def write(self, what: Callable[[Session], object]) -> object:
        """Do something in one transaction; again and again while the database cannot be reached or written."""
        while True:
            try:
                with session(self.engine) as store:
                    found = what(store)
                if self.trouble:
                    self.trouble = ""
                    self._say()
                return found
            except UNREACHABLE as error:
                trouble = f"The run waits. {failure(error).message}"
                if trouble != self.trouble:
                    log.warning("run %s: %s", self.run_id, trouble)
                    self.trouble = trouble
                    self._say()
                threading.Event().wait(LOOK_UP)

    def _begin(self) -> None:
        def read(store: Session) -> tuple:
            run = runs.get_run(store, self.run_id)
            return runs.run_counts(store, self.run_id), Budget(self.job.config, run)

        self.counts, self.budget = self.write(read)
        self._fill()
        self._say()

    def _fill(self) -> None:
        """The next items of the queue; from its beginning when nothing is under way, for some may be queued again."""
        if not self._under_way():
            self.after = -1
        self.todo.extend(self.write(lambda store: queued_items(store, self.run_id, self.after, PAGE)))
        if self.todo:
            self.after = self.todo[-1].index

    def _beat(self, store: Session) -> str | None:
        return runs.beat(store, self.run_id, self.owner)

    def _heed(self, stop: str | None) -> None:
        self.looked = time.monotonic()
        if stop is None:
            self._stop("interrupted", "Another worker took over.")
        elif stop:
            self._stop(runs.STOPPED[stop])

    def _stop(self, state: str, message: str = "") -> None:
        """Send nothing more; the first reason is the one that counts."""
        if self.end is None:
            self.end, self.leave = (state, message), time.monotonic() + self.job.config.timeout

    def _send(self) -> None:
        width = int(self.width)
        while self.ready and self.end is None and len(self.flying) < width:
            verdict = self.budget.verdict(len(self.flying))
            if verdict and verdict != "wait":
                self._stop("paused", verdict)
            if verdict:
                break
            item, prepared = self.ready.popleft()
            self.flying[item] = prepared
            self.to_ask.put([item])
        together = max(1, min(TOGETHER, width // 2))
        while self.todo and self.end is None and len(self.preparing) + len(self.ready) <= width - together:
            items = [self.todo.popleft() for _ in range(min(together, len(self.todo)))]
            self.preparing.update(items)
            self.to_prepare.put(items)

    def _ask(self, items: list[Item]) -> list[Outcome]:
        return [self.job.ask(self.flying[item]) for item in items]

    def _work(self, work_on: Callable[[list[Item]], list], queue: SimpleQueue) -> None:
        """In each of the other threads."""
        while (items := queue.get()) is not None:
            try:
                came = guarded(work_on, items)
            except (ProviderSetupError, *UNREACHABLE) as error:
                came = error
            each = came if isinstance(came, list) else [came] * len(items)
            self.back.put(list(zip(items, each, strict=True)))

    def _take_in(self) -> None:
        """Wait until something has come back, and store all that has landed: nothing that is here waits for a call."""
        back = []
        with suppress(Empty):
            back += self.back.get(timeout=LOOK_UP)
            while True:
                back += self.back.get_nowait()
        outcomes = [(item, outcome) for item, came in back if (outcome := self._landed(item, came)) is not None]
        if outcomes:
            self._store(outcomes)

    def _landed(self, item: Item, came: object | Outcome | Exception) -> Outcome | None:
        """The outcome to store, where the item has come to its end."""
        self.preparing.discard(item)
        asked, prepared, wide = item in self.flying, self.flying.pop(item, None), int(self.width) > 1
        if asked:
            limits = self.job.rate_limits()
            self.width.landed(limited=limits > self.limits, in_flight=len(self.flying))
            self.limits = limits
        if isinstance(came, ProviderSetupError):
            self._stop("failed", str(came))
        elif isinstance(came, Exception):
            self.todo.appendleft(item)  # nothing was asked yet; the next write says what the matter is
        elif not isinstance(came, Outcome):
            self.ready.append((item, came))
        elif wide and came.reason_kind == "rate limit" and came.prompt_tokens is None:
            self.ready.appendleft((item, prepared))  # fewer at a time may well succeed
        else:
            return came
        return None

    def _store(self, outcomes: list[tuple[Item, Outcome]]) -> None:
        of = {item.feature_id: outcome for item, outcome in outcomes}
        try:
            stop, states = self.write(lambda store: finish_items(
                store, self.run_id, self.owner, of, replace_protected=self.job.replace_human))
        except (SQLAlchemyError, StoreError) as error:
            self._store_apart(outcomes, error)
            return
        self._heed(stop)
        for item, outcome in outcomes:
            if state := states.get(item.feature_id):
                self.budget.add(outcome)
                self.counts["queued"] -= 1
                self.counts[state] += 1
                self._say(index=item.index, state=state, text=outcome.text or outcome.reason)

    def _store_apart(self, outcomes: list[tuple[Item, Outcome]], error: Exception) -> None:
        """What the database refuses must not take others with it; an outcome that is refused alone is a failed one."""
        if len(outcomes) > 1:
            for each in outcomes:
                self._store([each])
            return
        [(item, outcome)] = outcomes
        if outcome.reason_kind == "defect":
            raise error
        log.error("what came of feature %s cannot be stored", item.index, exc_info=error)
        used = {name: getattr(outcome, name) for name in ("asked", "prompt_tokens", "completion_tokens", "cost")}
        self._store([(item, replace(defect(error), **used))])

    def _say(self, **item) -> None:
        if self.on_progress:
            self.on_progress(RunProgress(dict(self.counts), trouble=self.trouble, **item))
