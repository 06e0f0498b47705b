"""``label``: start, resume or retry a labeling run and stay with it until it ends."""

import os
import sys
import threading
from typing import Annotated

import typer
from sqlalchemy import Engine

from mistudio.cli.options import AsJson, Database, ExtractionId, opened, selection, takes
from mistudio.cli.output import Steps, money, plain, print_json
from mistudio.cli.reading import run_record
from mistudio.errors import MistudioError
from mistudio.label.config import LabelConfig
from mistudio.store import open_store, session
from mistudio.store import runs as run_store

CANCELLED = 130


@takes(LabelConfig)
def label(
    given: dict,
    *,
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    features: Annotated[str, typer.Option(help="0-99,205, unlabeled or all.")] = "unlabeled",
    resume: Annotated[int | None, typer.Option(metavar="RUN", help="Go on with a run that stopped.")] = None,
    retry_failed: Annotated[int | None, typer.Option(
        metavar="RUN", help="Go on with a run, and ask again for the features that failed.")] = None,
) -> None:
    """Name features with a language model. Each label is stored as it arrives; Ctrl-C stops, --resume goes on."""
    from mistudio.label import run as run_jobs
    from mistudio.label.providers import make_provider

    again = resume if resume is not None else retry_failed
    if again is not None:
        if given or (resume is not None and retry_failed is not None):
            raise MistudioError("A run goes on with the options it was started with.",
                                "Give only --resume RUN or only --retry-failed RUN.")
        engine = open_store(db)
        with session(engine) as work:
            config = run_jobs.run_config(run_store.get_run(work, again))
        worker = make_provider(config)
        (run_jobs.resume_run if resume is not None else run_jobs.retry_failed)(engine, again)
        run_id = again
    else:
        engine, chosen = opened(db, extraction)
        config = LabelConfig.checked(**given)
        wanted = selection(features, chosen.d_sae)
        worker = make_provider(config)
        if not as_json:
            _print_estimate(engine, chosen.id, config, wanted)
        run_id = run_jobs.start_run(engine, chosen.id, config, wanted)
    with session(engine) as work:
        waiting = run_store.get_run(work, run_id).state == "queued"
    if waiting:
        _stay(engine, run_id, worker, quiet=as_json)
    raise typer.Exit(_report(engine, run_id, as_json))


def _stay(engine: Engine, run_id: int, worker, *, quiet: bool) -> None:
    """Work on the run in a thread, so that Ctrl-C reaches this one and can ask the run to stop."""
    from mistudio.label.run import RunProgress, work_run

    failure: list[BaseException] = []
    ended = threading.Event()

    def work_on() -> None:
        try:
            with Steps(quiet) as steps:
                def on_progress(progress: RunProgress) -> None:
                    total = sum(progress.counts.values())
                    closed = total - progress.counts["queued"]
                    last = "" if progress.index is None else f"{progress.index}: {progress.text}"
                    steps(f"Labeling (run {run_id})", closed / total if total else 1.0, f"{closed}/{total}  {last}")

                work_run(engine, run_id, worker, on_progress)
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=work_on, name=f"label-{run_id}", daemon=True).start()
    asked = False
    # An event, for Python 3.11 takes a thread for ended when Ctrl-C breaks its join.
    while not ended.is_set():
        try:
            ended.wait(0.2)
        except KeyboardInterrupt:
            if asked:
                print(f"Left at once. Go on with: {_resume_line(run_id)}", file=sys.stderr, flush=True)
                os._exit(CANCELLED)
            asked = True
            print("Stopping after the calls in flight; press Ctrl-C again to leave at once.", file=sys.stderr,
                  flush=True)
            with session(engine) as work:
                run_store.request_cancel(work, run_id)
    if failure:
        raise failure[0]


def _print_estimate(engine: Engine, extraction_id: int, config: LabelConfig, wanted) -> None:
    from mistudio.label.estimate import estimate

    guess = estimate(engine, extraction_id, config, wanted)
    cost = "free" if guess.free else "unknown" if guess.cost is None else " to ".join(map(money, guess.cost))
    seconds = "unknown" if guess.seconds is None else f"{guess.seconds:,.0f} s"
    print(f"{guess.features:,} features to label, {guess.skipped:,} skipped; about {guess.prompt_tokens[0]:,} to "
          f"{guess.prompt_tokens[1]:,} prompt tokens; cost {cost}; time {seconds}", file=sys.stderr)


def _report(engine: Engine, run_id: int, as_json: bool) -> int:
    """Print how a run ended. Returns the exit status: 0 when every feature got its label or was skipped."""
    with session(engine) as work:
        run = run_store.get_run(work, run_id)
        counts = run_store.run_counts(work, run_id)
        failures = run_store.failures_by_reason(work, run_id)
        skipped = run_store.failures_by_reason(work, run_id, "skipped")
    if as_json:
        print_json(run_record(run, counts) | {
            "failures": [{"kind": kind, "reason": reason, "count": count} for kind, reason, count in failures],
            "skips": [{"kind": kind, "reason": reason, "count": count} for kind, reason, count in skipped]})
    else:
        print(f"Run {run_id} {run.state}: {counts['done']:,} labeled, {counts['failed']:,} failed, "
              f"{counts['skipped']:,} skipped, {counts['queued']:,} left")
        for word, reasons in (("failed", failures), ("skipped", skipped)):
            for _kind, reason, count in reasons:
                print(f"  {count:,} {word}: {plain(reason)}")
    if run.state == "failed":
        raise MistudioError(run.message, f"Then go on with: {_resume_line(run_id)}")
    if run.state != "done":
        print(f"Go on with: {_resume_line(run_id)}", file=sys.stderr)
        return CANCELLED
    if counts["failed"]:
        print(f"Try those again with: python -m mistudio label --retry-failed {run_id}", file=sys.stderr)
        return 1
    return 0


def _resume_line(run_id: int) -> str:
    # The URL itself may hold a password.
    same = " (with the same --db)" if "--db" in sys.argv else ""
    return f"python -m mistudio label --resume {run_id}{same}"
