"""Batches at a server that has OpenAI's Batch API: send a run's questions there, and fetch the answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import openai
from openai import OpenAI
from sqlalchemy import Engine

from mistudio.batch.lease import leased
from mistudio.batch.progress import Progress, quiet
from mistudio.batch.requests import ENDPOINT, batchable_run, request_files
from mistudio.batch.taking import Report, Taker
from mistudio.errors import MistudioError, ProviderError
from mistudio.jobs.work import config_of
from mistudio.label.providers.openai import explained, open_client
from mistudio.label.providers.reach import without_key
from mistudio.run.config import RunConfig
from mistudio.store import runs, session

# A file of 200 MB goes up or down in one call. Seconds.
TIMEOUT = 600
ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True)
class BatchState:
    """A batch as its server sees it: ``state`` in OpenAI's words, requests done, failed and in all; ``message`` is why
    it was refused."""

    id: str
    state: str
    completed: int
    failed: int
    total: int
    message: str = ""


def submit(engine: Engine, run_id: int, *, api_key: str | None = None, progress: Progress = quiet) -> int:
    """Send everything that a queued run would ask, and leave it waiting for the answers.

    What an earlier call has sent, and is not answered yet, is not sent again.

    Returns:
        How many batches were made.

    Raises:
        MistudioError: the server takes no batches or refuses the key, or the run cannot be batched or is not queued.
    """
    run = batchable_run(engine, run_id)
    config, batches = config_of(run), list(run.config.get("batches", []))
    client, before = open_client(config.base_url, api_key, max(TIMEOUT, config.timeout)), len(batches)
    away = [(batch["first"], batch["last"]) for batch in batches if not batch["taken"]]

    def is_away(index: int) -> bool:
        return any(first <= index <= last for first, last in away)

    with leased(engine, run_id) as lease, TemporaryDirectory() as folder:
        for file in request_files(engine, run, lease, lambda number: Path(folder) / f"run{run_id}-{number}.jsonl",
                                  progress, skip=is_away):
            with _in_words(client, config):
                sent = client.files.create(file=file.path, purpose="batch")
                made = client.batches.create(input_file_id=sent.id, endpoint=ENDPOINT, completion_window="24h")
            batches.append({"id": made.id, "first": file.first, "last": file.last, "taken": False})
            with session(engine) as work:
                runs.add_to_config(work, run_id, batches=batches)
            file.path.unlink()
    return len(batches) - before


def fetch(engine: Engine, run_id: int, *, api_key: str | None = None,
          progress: Progress = quiet) -> tuple[list[BatchState], Report]:
    """How the batches of a run are; the answers of those that have ended since are taken in.

    Raises:
        MistudioError: the run has no batches, the server cannot be reached, or somebody works on the run.
    """
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    config, batches = config_of(run), run.config.get("batches", [])
    if not batches:
        raise MistudioError(f"Run {run_id} has no batches.", "Make some with --batch-submit.")
    client, states = open_client(config.base_url, api_key, max(TIMEOUT, config.timeout)), []
    with Taker(engine) as taker, TemporaryDirectory() as folder:
        for number, batch in enumerate(batches):
            with _in_words(client, config):
                found = client.batches.retrieve(batch["id"])
            states.append(_state(found, client.api_key))
            if found.status not in ENDED or batch["taken"]:
                continue
            for file_id in filter(None, (found.output_file_id, found.error_file_id)):
                path = Path(folder) / f"{number}.jsonl"  # never by a name of the server's
                with _in_words(client, config), client.files.with_streaming_response.content(file_id) as content:
                    content.stream_to_file(path)
                taker.take(_without_key(path, client.api_key), progress)
            batch["taken"] = True
            with session(engine) as work:
                runs.add_to_config(work, run_id, batches=batches)
    return states, taker.report


def _without_key(path: Path, key: str) -> Path:
    """A copy of a file, without the key where its server repeats it."""
    copy = path.with_suffix(".part")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines, copy.open(
            "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.writelines(without_key(line, key) for line in lines)
    return copy.replace(path)


def _state(batch: openai.types.Batch, key: str) -> BatchState:
    counts, errors = batch.request_counts, (batch.errors and batch.errors.data) or []
    message = without_key("; ".join(error.message or "" for error in errors[:3]), key)
    return BatchState(batch.id, batch.status, counts.completed if counts else 0, counts.failed if counts else 0,
                      counts.total if counts else 0, message)


@contextmanager
def _in_words(client: OpenAI, config: RunConfig) -> Iterator[None]:
    try:
        yield
    except openai.NotFoundError as error:
        raise ProviderError(f"{client.base_url} takes no batches, or does not know this one.",
                            "Write files with --batch-out, and have them answered there.", kind="request") from error
    except openai.OpenAIError as error:
        raise explained(error, config.model, client) from error
