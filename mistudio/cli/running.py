"""Stay with a run until it ends, and say how it ended."""

import os
import sys
import threading
from collections.abc import Callable

import typer
from sqlalchemy import Engine

from mistudio.cli.output import Steps, money, plain, print_json
from mistudio.cli.reading import run_record
from mistudio.errors import MistudioError
from mistudio.jobs import DOES
from mistudio.jobs.estimate import Estimate
from mistudio.run.config import RunConfig
from mistudio.store import items, session
from mistudio.store import runs as run_store

CANCELLED = 130


def again(engine: Engine, given: dict, resume: int | None, retry_failed: int | None,
          check: Callable[[RunConfig], object]) -> int | None:
    """The run that ``--resume`` or ``--retry-failed`` names, made to wait for a worker; None when there is none."""
    from mistudio.jobs.work import config_of
    from mistudio.run import loop

    run_id = resume if resume is not None else retry_failed
    if run_id is None:
        return None
    if given or (resume is not None and retry_failed is not None):
        raise MistudioError("A run goes on with the options it was started with.",
                            "Give only --resume RUN or only --retry-failed RUN.")
    with session(engine) as work:
        check(config_of(run_store.get_run(work, run_id)))
    loop.resume(engine, run_id, failed_too=retry_failed is not None)
    return run_id


def finish(engine: Engine, run_id: int, *, as_json: bool, report: Callable[[Engine, int], None] | None = None) -> None:
    """Work on a run, print what came of it, and leave with the exit status that says so.

    Args:
        report: prints more of a run that has ended.
    """
    with session(engine) as work:
        # Another program may have taken it since it was made to wait; trying to work on it says so.
        unfinished = run_store.get_run(work, run_id).state in ("queued", "running")
    if unfinished:
        _stay(engine, run_id, quiet=as_json)
    status = _report(engine, run_id, as_json)
    if report is not None and not as_json:
        report(engine, run_id)
    raise typer.Exit(status)


def print_estimate(guess: Estimate, verb: str) -> None:
    """One line on stderr before a run starts."""
    cost = "free" if guess.free else "unknown" if guess.cost is None else " to ".join(map(money, guess.cost))
    seconds = "unknown" if guess.seconds is None else " to ".join(dict.fromkeys(f"{end:,.0f}" for end in guess.seconds))
    calls, tokens = (" to ".join(f"{end:,}" for end in dict.fromkeys(ends)) for ends in (
        guess.calls, guess.prompt_tokens))
    print(f"{guess.features:,} features to {verb}, {guess.skipped:,} skipped; {calls} calls, about {tokens} prompt "
          f"tokens; cost {cost}; seconds {seconds}", file=sys.stderr)


def _stay(engine: Engine, run_id: int, *, quiet: bool) -> None:
    """Work on the run in a thread, so that Ctrl-C reaches this one and can ask the run to stop."""
    from mistudio.jobs.work import work_run
    from mistudio.run.loop import UNREACHABLE, RunProgress

    with session(engine) as work:
        kind = run_store.get_run(work, run_id).kind
    failure: list[BaseException] = []
    ended = threading.Event()

    def work_on() -> None:
        try:
            with Steps(quiet) as steps:
                def on_progress(progress: RunProgress) -> None:
                    total = sum(progress.counts.values())
                    closed = total - progress.counts.get("queued", 0)
                    last = progress.trouble or ("" if progress.index is None else f"{progress.index}: {progress.text}")
                    steps(f"{DOES[kind][0]} (run {run_id})", closed / total if total else 1.0,
                          f"{closed}/{total}  {last}")

                work_run(engine, run_id, on_progress=on_progress)
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=work_on, name=f"run-{run_id}", daemon=True).start()
    asked = stored = told = False
    # An event, for Python 3.11 takes a thread for ended when Ctrl-C breaks its join.
    while not ended.is_set():
        try:
            ended.wait(0 if asked and not stored and not told else 0.2)
            if asked and not stored:
                with session(engine) as work:
                    run_store.request_stop(work, run_id, "cancel")
                stored = True
                print("Stopping after the calls in flight; press Ctrl-C again to leave at once.", file=sys.stderr,
                      flush=True)
        except UNREACHABLE as error:  # the run itself waits for it too
            if not told:
                print(f"The database cannot be written ({error.orig}): the run stops when it can be; press Ctrl-C "
                      "again to leave at once.", file=sys.stderr, flush=True)
            told = True
        except KeyboardInterrupt:
            if asked:
                print(f"Left at once. Go on with: {_resume_line(kind, run_id)}", file=sys.stderr, flush=True)
                os._exit(CANCELLED)
            asked = True
    if failure:
        raise failure[0]


def _report(engine: Engine, run_id: int, as_json: bool) -> int:
    """Print how a run ended. Returns the exit status: 0 when every feature was done or skipped."""
    with session(engine) as work:
        run = run_store.get_run(work, run_id)
        counts = run_store.run_counts(work, run_id)
        failures = items.failures_by_reason(work, run_id)
        skipped = items.failures_by_reason(work, run_id, "skipped")
    if as_json:
        print_json(run_record(run, counts) | {
            "failures": [{"kind": kind, "reason": reason, "count": count} for kind, reason, count in failures],
            "skips": [{"kind": kind, "reason": reason, "count": count} for kind, reason, count in skipped]})
    else:
        print(f"Run {run_id} {run.state}: {counts['done']:,} {DOES[run.kind][1]}, {counts['failed']:,} failed, "
              f"{counts['skipped']:,} skipped, {counts['queued']:,} left")
        for word, reasons in (("failed", failures), ("skipped", skipped)):
            for _kind, reason, count in reasons:
                print(f"  {count:,} {word}: {plain(reason)}")
    if run.state == "failed":
        raise MistudioError(run.message, f"Then go on with: {_resume_line(run.kind, run_id)}")
    if run.state != "done":
        print(" ".join(filter(None, (run.message, f"Go on with: {_resume_line(run.kind, run_id)}"))), file=sys.stderr)
        return CANCELLED
    if counts["failed"]:
        print(f"Try those again with: python -m mistudio {run.kind} --retry-failed {run_id}", file=sys.stderr)
        return 1
    return 0


def _resume_line(kind: str, run_id: int) -> str:
    # The URL itself may hold a password.
    same = " (with the same --db)" if "--db" in sys.argv else ""
    return f"python -m mistudio {kind} --resume {run_id}{same}"
