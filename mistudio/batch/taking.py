"""Take answers in: from files, in any order, in parts, more than once, with errors among them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self

from sqlalchemy import Engine

from mistudio.batch.address import Address
from mistudio.batch.lease import Lease
from mistudio.batch.progress import Progress, quiet
from mistudio.batch.replies import Line, Recorded, Reply, pack, read_line, unpack
from mistudio.errors import Cancelled, MistudioError, StoreError
from mistudio.files import TooLong, bounded_lines
from mistudio.jobs.work import config_of, job_of
from mistudio.label.ask import Asked
from mistudio.label.cost import price
from mistudio.run.job import guarded
from mistudio.store import Run, runs, session
from mistudio.store.items import Held, Item, Outcome, finish_items, items_of, keep_reply

# Lines stored in one transaction.
CHUNK = 50
NAMED = 5


@dataclass
class Report:
    """What came of the lines of response files.

    ``failed`` lines closed their feature without a result; ``unknown`` ones belong to no run of this database; the
    first of the ``broken`` ones, which are no responses, are named in ``broken_at``. ``left`` is features that wait for
    answers still, by run.
    """

    taken: int = 0
    failed: int = 0
    already: int = 0
    unknown: int = 0
    broken: int = 0
    broken_at: list[str] = field(default_factory=list)
    left: dict[int, int] = field(default_factory=dict)


def take_files(engine: Engine, paths: Iterable[Path], progress: Progress = quiet) -> Report:
    """Take in the answers of response files. Lines that were taken in before change nothing.

    Raises:
        MistudioError: a file cannot be read, or somebody works on the run.
    """
    with Taker(engine) as taker:
        for path in paths:
            taker.take(path, progress)
    return taker.report


class Taker:
    """Takes files in, while it is entered; it holds the lease of each run that they bring answers for."""

    def __init__(self, engine: Engine):
        self.engine, self.report = engine, Report()
        self._opened: dict[int, _Opened | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind, error: BaseException | None, _trace) -> None:
        for run_id, opened in self._opened.items():
            if opened is None:
                continue
            opened.close(str(error) if isinstance(error, Cancelled) else "")
            with session(self.engine) as work:
                self.report.left[run_id] = runs.run_counts(work, run_id)["queued"]

    def take(self, path: Path, progress: Progress = quiet) -> None:
        """Take in one file.

        Raises:
            MistudioError: it cannot be read, or somebody works on the run.
        """
        try:
            with path.open("rb") as file:
                size = max(1, path.stat().st_size)
                lines = enumerate(bounded_lines(file, size), 1)
                while chunk := list(islice(lines, CHUNK)):
                    self._take(path, chunk)
                    progress(f"Taking in {path.name}", file.tell() / size, f"line {chunk[-1][0]:,}")
        except TooLong as error:
            raise MistudioError(f"{path.name} is no file of responses: {error}.",
                                "Name files of responses; what was read before stays.") from error
        except OSError as error:
            raise MistudioError(f"{path} cannot be read: {error.strerror}.", "Name files of responses.") from error

    def _take(self, path: Path, chunk: list[tuple[int, bytes]]) -> None:
        by_run: dict[int, list[Line]] = {}
        for number, raw in chunk:
            line = read_line(raw)
            if line is None and raw.strip():
                self.report.broken += 1
                self.report.broken_at += [f"{path.name}:{number}"] if len(self.report.broken_at) < NAMED else []
            elif line is not None and self._known(line.address):
                by_run.setdefault(line.address.run_id, []).append(line)
            elif line is not None:
                self.report.unknown += 1
        for run_id, lines in by_run.items():
            self._opened[run_id].take(lines, self.report)

    def _known(self, address: Address | None) -> bool:
        """Whether an answer belongs to a run of this database."""
        if address is None:
            return False
        if address.run_id not in self._opened:
            with session(self.engine) as work:
                run = work.get(Run, address.run_id)
            batched = run is not None and "batch_key" in run.config
            self._opened[address.run_id] = _Opened(self.engine, run) if batched else None
        opened = self._opened[address.run_id]
        return opened is not None and opened.key == address.key


class _Opened:
    """A run that answers have come for. Its lease is taken when there is something to store."""

    def __init__(self, engine: Engine, run: Run):
        self.engine, self.run_id, self.key = engine, run.id, run.config["batch_key"]
        self.config = config_of(run)
        self.recorded = Recorded(self.config)
        self.job = job_of(engine, run, self.recorded)
        self.lease: Lease | None = None

    def close(self, trouble: str) -> None:
        if self.lease is not None:
            self.lease.give_back(trouble)

    def take(self, lines: list[Line], report: Report) -> None:
        """Store what these lines bring, in one transaction."""
        with session(self.engine) as work:
            held = items_of(work, self.run_id, {line.address.feature_id for line in lines})
        replies, fresh = _fresh(lines, held, report)
        if not fresh:
            return
        if self.lease is None:
            self.lease = Lease(self.engine, self.run_id).take()
        self.lease.check()
        outcomes = {feature_id: guarded(partial(self._outcome, replies=replies[feature_id]), held[feature_id].item)
                    for feature_id in fresh}
        new = {feature_id: len(fresh[feature_id] & replies[feature_id].keys()) for feature_id in fresh}
        whole = {feature_id: outcome for feature_id, outcome in outcomes.items() if outcome and new[feature_id]}
        with session(self.engine) as work:
            stop, closed = finish_items(work, self.run_id, self.lease.owner, whole,
                                        replace_protected=self.job.replace_human)
            if stop is None:
                raise StoreError(f"Another worker took run {self.run_id} over.", "Start again when it has ended.")
            for feature_id, outcome in outcomes.items():
                stored = feature_id in closed if outcome else keep_reply(
                    work, self.run_id, feature_id, self.lease.owner, pack(replies[feature_id]))
                report.already += len(fresh[feature_id]) - new[feature_id]
                if not stored:
                    report.already += new[feature_id]
                elif outcome is not None and outcome.state == "failed":
                    report.failed += new[feature_id]
                else:
                    report.taken += new[feature_id]

    def _outcome(self, item: Item, replies: dict[str, Reply]) -> Outcome | None:
        """What a live run would have made of these replies; None while some are missing. Those to what the run does
        not ask any more are taken out."""
        [prepared] = self.job.prepare([item])
        if isinstance(prepared, Outcome):
            return self._used(prepared, replies)
        wanted = self.job.calls(prepared)
        for part in replies.keys() - wanted.keys():
            del replies[part]
        if wanted.keys() - replies.keys():
            return None
        self.recorded.replies = {reply.hash: reply for reply in replies.values()}
        return self._used(self.job.ask(prepared), replies)

    def _used(self, outcome: Outcome, replies: dict[str, Reply]) -> Outcome:
        """The outcome with what all the replies used, at the price of batches. How long they took is not known."""
        used = Asked()
        for reply in replies.values():
            used.count(reply.prompt_tokens, reply.completion_tokens)
        outcome.prompt_tokens, outcome.completion_tokens = used.prompt_tokens, used.completion_tokens
        judged = [score for score in outcome.scores if score.prompt_hash]
        for row in (outcome, *(label for label, _scores in outcome.labels), *judged):
            row.cost = price(self.config, row.prompt_tokens, row.completion_tokens, batch=True)
        for row in (*(label for label, _scores in outcome.labels), *judged):
            row.seconds = None
        if outcome.state == "failed" and not outcome.reply:
            outcome.reply = "\n".join(reply.text for reply in replies.values() if reply.text)
        return outcome


def _fresh(lines: list[Line], held: dict[int, Held],
           report: Report) -> tuple[dict[int, dict[str, Reply]], dict[int, set[str]]]:
    """By feature: the replies that are there now, and which of them are new."""
    replies: dict[int, dict[str, Reply]] = {}
    fresh: dict[int, set[str]] = {}
    for address, reply in lines:
        found = held.get(address.feature_id)
        if found is None:
            report.unknown += 1
            continue
        known = replies.setdefault(address.feature_id, unpack(found.reply))
        if found.state != "queued" or address.part in known:
            report.already += 1
            continue
        known[address.part] = reply
        fresh.setdefault(address.feature_id, set()).add(address.part)
    return replies, fresh
