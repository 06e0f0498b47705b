"""Runs in the background of this process. They outlive the page that started them; the database tells how they go."""

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mistudio.access import carried, require_write
from mistudio.errors import MistudioError
from mistudio.jobs.work import work_run
from mistudio.run.loop import RunProgress
from mistudio.store import runs, session
from mistudio.store.failures import failure

log = logging.getLogger(__name__)
_threads: dict[tuple[str, int], threading.Thread] = {}
_troubles: dict[tuple[str, int], str] = {}
_lock = threading.Lock()


def launch(engine: Engine, run_id: int, api_key: str | None = None) -> threading.Thread:
    """Work on a queued run in a daemon thread; the thread that already does so, if there is one.

    Args:
        api_key: handed to the provider and kept nowhere else.

    Raises:
        AccessError: the visitor may start nothing.
    """
    require_write()
    key = (str(engine.url), run_id)
    with _lock:
        for ended in [other for other, thread in _threads.items() if not thread.is_alive()]:
            del _threads[ended]
            _troubles.pop(ended, None)
        if key not in _threads:
            thread = threading.Thread(target=carried(_work), args=(engine, run_id, api_key), name=f"run-{run_id}",
                                      daemon=True)
            _threads[key] = thread
            thread.start()
        return _threads[key]


def active_run_ids() -> set[int]:
    """Runs that this process is working on."""
    with _lock:
        return {run_id for (_url, run_id), thread in _threads.items() if thread.is_alive()}


def trouble(engine: Engine, run_id: int) -> str:
    """Why a run of this process waits although nobody paused it; "" while it does not."""
    return _troubles.get((str(engine.url), run_id), "")


def _work(engine: Engine, run_id: int, api_key: str | None) -> None:
    def watch(progress: RunProgress) -> None:
        _troubles[str(engine.url), run_id] = progress.trouble

    try:
        work_run(engine, run_id, api_key=api_key, on_progress=watch)
    except MistudioError as error:
        _fail(engine, run_id, str(error))
    except DBAPIError as error:
        _fail(engine, run_id, str(failure(error)))
    except Exception as error:
        log.exception("run %s ended with a defect", run_id)
        _fail(engine, run_id, f"A defect of mistudio: {type(error).__name__}: {error}")


def _fail(engine: Engine, run_id: int, message: str) -> None:
    """Say on the run why it cannot go on, unless a worker has it."""
    try:
        with session(engine) as work:
            runs.fail_unowned(work, run_id, message)
    except DBAPIError:  # for want of a sign of life it turns to interrupted later
        log.exception("why run %s ended could not be stored: %s", run_id, message)
