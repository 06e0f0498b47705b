"""A run's questions as lines of files, each as the provider would ask it."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from mistudio.access import require_write
from mistudio.batch.address import Address
from mistudio.batch.lease import Lease, leased
from mistudio.batch.progress import Progress, quiet
from mistudio.batch.replies import Recorded
from mistudio.errors import MistudioError
from mistudio.jobs.labeling import LabelJob
from mistudio.jobs.scoring import ScoreJob
from mistudio.jobs.work import config_of, job_of
from mistudio.label.config import LabelConfig
from mistudio.label.prompts.templates import hash_of
from mistudio.label.providers.openai import request_body
from mistudio.run.config import RunConfig
from mistudio.run.job import guarded
from mistudio.run.loop import PAGE
from mistudio.store import Run, runs, session
from mistudio.store.items import Item, Outcome, finish_items, queued_items

# Of one file, as OpenAI takes them.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
ENDPOINT = "/v1/chat/completions"


@dataclass
class RequestFile:
    """A file of requests: of features with an index from ``first`` to ``last``."""

    path: Path
    first: int
    last: int
    requests: int = 0
    size: int = 0

    def add(self, index: int, line: bytes) -> None:
        """Count one more line."""
        self.last, self.requests, self.size = index, self.requests + 1, self.size + len(line)

    def has_room(self, line: bytes) -> bool:
        return not self.requests or (self.requests < MOST_REQUESTS and self.size + len(line) <= MOST_BYTES)


def check_batchable(config: RunConfig) -> None:
    """Make sure that a run can be asked by files.

    Raises:
        MistudioError: it cannot, and why.
    """
    if config.provider != "openai":
        raise MistudioError(f"The provider {config.provider} cannot be asked in batches.",
                            "Use --provider openai: its files run at OpenAI, and on your own machines with vLLM.")
    if not config.model:
        raise MistudioError("No model is chosen.", "Choose the one that will answer: --model NAME.")
    if isinstance(config, LabelConfig) and config.compares:
        raise MistudioError("Labels cannot be compared or revised in a batch: that takes more questions than one.",
                            "Leave candidates, revise-below and keep-better out, and use them in a run of the worst.")
    if config.budget_dollars is not None or config.budget_tokens is not None:
        raise MistudioError("A budget cannot be kept in a batch: all is asked at once.",
                            "Leave it out; the estimate says what it will take.")


def batchable_run(engine: Engine, run_id: int) -> Run:
    """Raises: MistudioError, when there is no such run or it cannot be batched."""
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    check_batchable(config_of(run))
    return run


def write_requests(engine: Engine, run_id: int, out: Path, progress: Progress = quiet) -> list[Path]:
    """Write everything that a queued run would ask, and leave the run waiting for the answers.

    Several files are made where one would be larger than OpenAI takes: ``out`` with -1, -2 ... before its ending.

    Returns:
        The files; none when nothing was left to ask.

    Raises:
        MistudioError: a file is there already or cannot be written, the run cannot be batched, or it is not queued.
    """
    require_write()
    check_free(out)
    run = batchable_run(engine, run_id)
    with leased(engine, run_id) as lease:
        files = list(request_files(engine, run, lease, lambda number: _numbered(out, number), progress))
        if len(files) != 1:
            return [file.path for file in files]
        return [files[0].path.rename(out)]


def check_free(out: Path) -> None:
    """Raises: MistudioError, when a file stands where requests are to be written."""
    for path in (out, _numbered(out, 1)):
        if path.exists():
            raise MistudioError(f"There is a file {path} already.", "Move it away, or choose another name.")


def request_files(engine: Engine, run: Run, lease: Lease, place: Callable[[int], Path], progress: Progress, *,
                  skip: Callable[[int], bool] = lambda _index: False) -> Iterator[RequestFile]:
    """Write the questions of a run's queued items; each file as soon as it is whole.

    Args:
        place: the path of the first, second ... file.
        skip: features not to ask about, by index.

    Raises:
        MistudioError: a file cannot be written, or somebody asked the run to stop.
    """
    lines = _lines(engine, run, lease, progress, skip)
    try:
        pending, number = next(lines, None), 0
        while pending is not None:
            number += 1
            file = RequestFile(place(number), first=pending[0], last=pending[0])
            with file.path.open("xb") as out:
                while pending is not None and file.has_room(pending[1]):
                    out.write(pending[1])
                    file.add(*pending)
                    pending = next(lines, None)
            yield file
    except OSError as error:
        raise MistudioError(f"The requests cannot be written: {error.strerror}: {error.filename}.",
                            "Choose a folder that can be written and has space left.") from error


def _lines(engine: Engine, run: Run, lease: Lease, progress: Progress,
           skip: Callable[[int], bool]) -> Iterator[tuple[int, bytes]]:
    """Feature index and request, in order of index. What needs no asking is closed on the way."""
    key = run.config.get("batch_key") or secrets.token_hex(4)
    with session(engine) as work:
        runs.add_to_config(work, run.id, batch_key=key)
        total = runs.run_counts(work, run.id)["queued"]
    config, after, seen = config_of(run), -1, 0
    job = job_of(engine, run, Recorded(config))
    while True:
        with session(engine) as work:
            page = queued_items(work, run.id, after, PAGE)
        if not page:
            return
        after = page[-1].index
        for item in page:
            lease.check()
            seen += 1
            progress(f"Writing requests (run {run.id})", seen / total, f"{seen:,}/{total:,} features")
            if skip(item.index):
                continue
            calls = _calls(job, item)
            if isinstance(calls, Outcome):
                with session(engine) as work:
                    finish_items(work, run.id, lease.owner, {item.feature_id: calls},
                                 replace_protected=job.replace_human)
                continue
            for part, (prompt, question) in calls.items():
                address = Address(run.id, key, item.feature_id, part, hash_of(prompt.messages))
                request = {"custom_id": str(address), "method": "POST", "url": ENDPOINT,
                           "body": request_body(config, prompt.messages, question.schema)}
                yield item.index, json.dumps(request, ensure_ascii=False).encode() + b"\n"


def _calls(job: LabelJob | ScoreJob, item: Item) -> dict | Outcome:
    """What to ask of an item; an outcome where nobody needs to be asked."""
    found: dict = {}

    def prepare(item: Item) -> Outcome | None:
        [prepared] = job.prepare([item])
        if isinstance(prepared, Outcome):
            return prepared
        found.update(job.calls(prepared))
        return None if found else job.ask(prepared)

    return guarded(prepare, item) or found


def _numbered(out: Path, number: int) -> Path:
    return out.with_name(f"{out.stem}-{number}{out.suffix}")
