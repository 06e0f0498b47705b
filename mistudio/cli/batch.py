"""``label`` and ``score`` in batches: questions to files or to a server's Batch API, answers back."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from mistudio.cli.output import Steps, plain, print_json, print_table
from mistudio.cli.reading import run_record
from mistudio.errors import MistudioError
from mistudio.run.config import RunConfig
from mistudio.store import runs, session

Out = Annotated[Path | None, typer.Option("--batch-out", metavar="FILE", help="Ask nobody: write the requests to a "
                                          "file in OpenAI's Batch format, which vllm run-batch takes too.")]
In = Annotated[list[Path] | None, typer.Option("--batch-in", metavar="FILE...", help="Take in the answers to requests "
                                               "that were written: in any order, in parts, more than once.")]
More = Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="With --batch-in: more files.")]
Submit = Annotated[bool, typer.Option("--batch-submit", help="Send the requests to the server's Batch API.")]
Status = Annotated[int | None, typer.Option("--batch-status", metavar="RUN", help="Show the batches of a run, and take "
                                            "in the answers of those that have ended.")]


def checks(out: Path | None, submit: bool) -> Callable[[RunConfig], object]:
    """What makes sure, before a run starts, that it can be asked in the way that was chosen."""
    from mistudio.batch.requests import check_batchable, check_free
    from mistudio.jobs.work import provider_of

    def check(config: RunConfig) -> None:
        if out is not None or submit:
            check_batchable(config)
        if out is not None:
            check_free(out)
        else:
            provider_of(config)

    if out is not None and submit:
        raise MistudioError("Requests are either written or submitted.", "Give --batch-out or --batch-submit.")
    return check


def send(engine: Engine, run_id: int, out: Path | None, *, as_json: bool) -> None:
    """Write or submit what a queued run would ask."""
    from mistudio.batch.remote import submit
    from mistudio.batch.requests import write_requests

    files, batches = [], 0
    with Steps(as_json) as progress:
        if out is None:
            batches = submit(engine, run_id, progress=progress)
        else:
            files = write_requests(engine, run_id, out, progress)
    with session(engine) as work:
        run, counts = runs.get_run(work, run_id), runs.run_counts(work, run_id)
    if as_json:
        print_json(run_record(run, counts) | {"files": [str(path) for path in files], "batches": batches})
        return
    made = f"{batches:,} batches" if out is None else ", ".join(plain(path) for path in files) or "no file"
    print(f"Run {run_id} {run.state}: {made}; {counts['queued']:,} features to answer, {counts['skipped']:,} skipped")
    if run.state == "waiting":
        following = f"--batch-status {run_id}" if out is None else "--batch-in FILE"
        print(f"Then take the answers in: python -m mistudio {run.kind} {following}", file=sys.stderr)


def answers(engine: Engine, given: dict, files: list[Path] | None, more: list[Path] | None, status: int | None, *,
            as_json: bool) -> bool:
    """Take answers in, if that was asked for.

    Raises:
        typer.Exit: with status 1, when lines were broken or features failed.
    """
    if not files and status is None:
        if more:
            raise MistudioError(f"Nothing is to be done with {more[0]}.", "Name files behind --batch-in.")
        return False
    if given or (files and status is not None):
        raise MistudioError("Answers belong to the run that asked, with its options.",
                            "Give only --batch-in FILE... or only --batch-status RUN.")
    from mistudio.batch.remote import fetch
    from mistudio.batch.taking import take_files

    with Steps(as_json) as progress:
        if status is not None:
            states, report = fetch(engine, status, progress=progress)
        else:
            states, report = [], take_files(engine, [*files, *(more or [])], progress)
    if as_json:
        print_json(asdict(report) | {"batches": [asdict(state) for state in states]})
    else:
        if states:
            print_table(("batch", "state", "completed", "failed", "requests", "message"),
                        [(each.id, each.state, each.completed, each.failed, each.total, each.message)
                         for each in states], right=("completed", "failed", "requests"))
        at = f" ({plain(', '.join(report.broken_at))})" if report.broken_at else ""
        print(f"{report.taken:,} taken, {report.failed:,} failed, {report.already:,} already there, "
              f"{report.unknown:,} unknown, {report.broken:,} broken{at}")
        for run_id, left in report.left.items():
            print(f"Run {run_id}: {left:,} features left" if left else f"Run {run_id} done")
    if report.failed or report.broken:
        raise typer.Exit(1)
    return True
