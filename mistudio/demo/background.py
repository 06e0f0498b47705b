"""The demo's set-up in the background of the server: it goes on when the page that started it is closed."""

import logging
import threading
from dataclasses import dataclass, replace

from mistudio.errors import MistudioError
from mistudio.store import open_store

log = logging.getLogger(__name__)
_lock = threading.Lock()
_status: "DemoStatus | None" = None


@dataclass(frozen=True)
class DemoStatus:
    """How far the set-up is: ``fraction`` 0 to 1; ``detail`` such as tokens/s and time left."""

    step: str = "Starting"
    fraction: float = 0.0
    detail: str = ""
    done: bool = False
    error: MistudioError | None = None
    extraction_id: int | None = None


def demo_status() -> DemoStatus | None:
    """The set-up of this process; None when none was started."""
    return _status


def start_demo(url: str) -> None:
    """Start the set-up in a daemon thread, unless it is already under way.

    Args:
        url: the database.
    """
    global _status
    with _lock:
        if _status is not None and not _status.done and _status.error is None:
            return
        _status = DemoStatus()
    threading.Thread(target=_work, args=(url,), name="demo", daemon=True).start()


def _set(**changes) -> None:
    global _status
    with _lock:
        _status = replace(_status or DemoStatus(), **changes)


def _work(url: str) -> None:
    try:
        from mistudio.demo.setup import run_demo

        extraction_id = run_demo(open_store(url), progress=lambda step, fraction, detail: _set(
            step=step, fraction=fraction, detail=detail))
        _set(done=True, extraction_id=extraction_id)
    except MistudioError as error:
        _set(error=error)
    except Exception as error:
        log.exception("the demo's set-up ended with a defect")
        _set(error=MistudioError(f"A defect of mistudio: {type(error).__name__}: {error}",
                                 "The server's log has the details. Please report it."))
