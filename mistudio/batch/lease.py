"""The lease on a run while its questions are written or its answers are taken in."""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Engine

from mistudio.access import carried
from mistudio.errors import Cancelled, StoreError
from mistudio.run.job import UNREACHABLE
from mistudio.run.loop import LOOK_UP, worker_name
from mistudio.store import runs, session

WAITS = ("It waits for answers that come as files: take them in with --batch-in, or with --batch-status where batches "
         "were submitted. Resuming asks for what is left.")
log = logging.getLogger(__name__)


class Lease:
    """Held from ``take`` to ``give_back``; a thread beats meanwhile, for an upload may take minutes."""

    def __init__(self, engine: Engine, run_id: int):
        self.engine, self.run_id, self.owner = engine, run_id, worker_name()
        self._stop: str | None = ""
        self._over = threading.Event()

    def take(self, states: Collection[str] = runs.IDLE) -> Self:
        """Become the run's one worker.

        Raises:
            StoreError: there is no such run, or another worker has it.
        """
        with session(self.engine) as work:
            if not runs.take_lease(work, self.run_id, self.owner, states):
                raise StoreError(f"Run {self.run_id} is being worked on, or has ended.", "Wait until its worker ends.")
        threading.Thread(target=carried(self._beat), name=f"lease-{self.run_id}", daemon=True).start()
        return self

    def check(self) -> None:
        """Raises: Cancelled, when somebody asked the run to stop; StoreError, when another worker took over."""
        if self._stop is None:
            raise StoreError(f"Another worker took run {self.run_id} over.", "Start again when it has ended.")
        if self._stop:
            raise Cancelled(f"Run {self.run_id} was asked to stop.", "What was stored stays; the same command goes on.")

    def give_back(self, trouble: str = "") -> None:
        """Leave the run as done, or as waiting for the answers to what is left.

        Args:
            trouble: why it is not fit to wait; it is then interrupted, or as somebody asked.
        """
        self._over.set()
        with session(self.engine) as work:
            if not runs.run_counts(work, self.run_id)["queued"]:
                state, message = "done", ""
            elif trouble:
                state, message = runs.STOPPED.get(self._stop or "", "interrupted"), trouble
            else:
                state, message = "waiting", WAITS
            runs.release(work, self.run_id, self.owner, state, message)

    def _beat(self) -> None:
        while not self._over.wait(LOOK_UP):
            try:
                with session(self.engine) as work:
                    self._stop = runs.beat(work, self.run_id, self.owner)
            except UNREACHABLE as error:
                log.warning("run %s: the lease could not be kept: %s", self.run_id, error.orig)


@contextmanager
def leased(engine: Engine, run_id: int) -> Iterator[Lease]:
    """The lease of a queued run; afterwards it waits for its answers."""
    lease = Lease(engine, run_id).take(runs.FOR_WORKERS)
    try:
        yield lease
    except BaseException as error:
        lease.give_back(str(error) or "It was stopped before its end.")
        raise
    lease.give_back()
