"""The one long job of this process beside labeling runs: an extraction, the demo's set-up or a distillation.

It goes on when the page that started it is closed. One at a time: two would only share the same cores or GPU.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError

from mistudio.access import carried, require_write
from mistudio.errors import Cancelled, MistudioError
from mistudio.store.failures import failure

log = logging.getLogger(__name__)
_lock = threading.Lock()
_status: "Status | None" = None

Progress = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Status:
    """How far the job is: ``fraction`` 0 to 1; ``detail`` such as tokens/s and time left. ``error`` says why it ended
    without a result. Of one that is ``done``, ``extraction_id`` is the extraction it made, where it makes any, and
    ``outcome`` a sentence, where there is something to say."""

    title: str
    step: str = "Starting"
    fraction: float = 0.0
    detail: str = ""
    cancel: bool = False
    error: MistudioError | None = None
    done: bool = False
    extraction_id: int | None = None
    outcome: str = ""

    @property
    def running(self) -> bool:
        return self.error is None and not self.done


def status() -> Status | None:
    """The job of this process; None when none was started or its end was acknowledged."""
    return _status


def start(title: str, job: Callable[[Progress], int | str | None]) -> None:
    """Start a job in a daemon thread, unless one is under way.

    Args:
        title: what the job is called.
        job: gets a progress function, and returns the id of the extraction it made, or a sentence about what it did.

    Raises:
        AccessError: the visitor may start nothing.
    """
    global _status
    require_write()
    with _lock:
        if _status is not None and _status.running:
            return
        _status = Status(title)
    threading.Thread(target=carried(_work), args=(job,), name="job", daemon=True).start()


def cancel() -> None:
    """Ask the job to stop at its next step. Raises: AccessError."""
    require_write()
    _set(cancel=True)


def acknowledge() -> None:
    """Forget a job that has ended. Raises: AccessError."""
    global _status
    require_write()
    with _lock:
        if _status is not None and not _status.running:
            _status = None


def _set(**changes) -> None:
    global _status
    with _lock:
        if _status is not None:
            _status = replace(_status, **changes)


def _report(step: str, fraction: float, detail: str) -> None:
    if _status is not None and _status.cancel:
        raise Cancelled("Stopped.", "Start or resume it: it goes on from its last checkpoint.")
    _set(step=step, fraction=fraction, detail=detail)


def _work(job: Callable[[Progress], int | str | None]) -> None:
    try:
        result = job(_report)
        _set(done=True, **({"outcome": result} if isinstance(result, str) else {"extraction_id": result}))
    except MistudioError as error:
        _set(error=error)
    except DBAPIError as error:
        _set(error=failure(error))
    except Exception as error:
        log.exception("a background job ended with a defect")
        _set(error=MistudioError(f"A defect of mistudio: {type(error).__name__}: {error}",
                                 "The server's log has the details. Please report it."))
