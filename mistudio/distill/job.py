"""From labels to an adapter: read them, measure what there is, train, measure again, and say whether it is better.

Each stage leaves a file in the adapter's folder, so a distillation that was stopped or killed goes on with the first
stage that is not done, and training with its last checkpoint.
"""

import gc
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from mistudio.access import require_write
from mistudio.demo.fetch import MODEL_NAME
from mistudio.distill.config import RANK, DistillConfig
from mistudio.distill.measure import Measured, compare, label_all, score_all
from mistudio.distill.samples import Samples, collect
from mistudio.distill.verdict import verdict
from mistudio.errors import Cancelled, MistudioError
from mistudio.files import write_whole
from mistudio.jobs.work import provider_of
from mistudio.label import adapters
from mistudio.label.adapters import Card, HeldOutLabel
from mistudio.label.providers import Provider
from mistudio.label.providers.embedded import ADAPTER, EmbeddedProvider
from mistudio.score.config import ScoreConfig
from mistudio.store import Extraction, session
from mistudio.store.extractions import get_extraction

SAMPLES, BEFORE, CHECKPOINT = "samples.json", "before.json", "checkpoint.pt"
REPORT_SECONDS = 0.5
# Files of the stages; the adapter needs none of them.
PASSING = (SAMPLES, BEFORE, CHECKPOINT, adapters.PROGRESS, adapters.CANCEL)

Progress = Callable[[str, float, str], None]


def distill(engine: Engine, name: str, config: DistillConfig, extraction_id: int | None = None, *,
            progress: Progress = lambda *_step: None, api_key: str | None = None) -> Card:
    """Make an adapter from an extraction's labels.

    Args:
        name: what it will be called: ``embedded:NAME`` labels with it.
        extraction_id: the newest finished one when None.
        progress: called often with step, fraction and detail; may raise ``Cancelled``.
        api_key: the judge's, kept nowhere.

    Raises:
        AccessError: the visitor may start nothing.
        MistudioError: the name is taken, there are too few labels, or the model cannot be used.
        Cancelled: it was stopped; ``resume`` goes on.
    """
    require_write()
    folder = adapters.folder_of(name)
    _check_free(name, folder)
    with judging(config, api_key):
        pass  # what is wrong with the judge is said before anything is trained
    if Path(config.base).is_dir():
        config = config.model_copy(update={"base": str(Path(config.base).resolve())})
    with session(engine) as work:
        extraction = get_extraction(work, extraction_id)
    samples = collect(engine, extraction.id, config,
                      lambda done, all_: progress("Reading labels", done / all_, f"{done:,} of {all_:,}"))
    with _held(folder):
        _check_free(name, folder)
        samples.save(folder / SAMPLES)
        told = config.model_dump() | {"extraction": extraction.id, "extracted": extraction.created_at.isoformat()}
        write_whole(folder / adapters.SETTINGS, json.dumps(told, indent=1).encode())
        return _Work(engine, name, progress, api_key).run()


def resume(engine: Engine, name: str, *, progress: Progress = lambda *_step: None,
           api_key: str | None = None) -> Card:
    """Go on with a distillation that stopped, with the options and labels it was started with.

    Raises:
        AccessError: the visitor may start nothing.
        MistudioError: there is none, it has ended, or another process has it.
        Cancelled: it was stopped again.
    """
    require_write()
    found = adapters.get_adapter(name)
    folder = adapters.folder_of(name)
    if found.state == "done":
        raise MistudioError(f"The adapter {name} is finished already.", f"Use it: --provider embedded:{name}")
    if not (folder / adapters.SETTINGS).exists():
        raise MistudioError(f"The distillation of {name} had not begun when it stopped.",
                            f"Remove it (python -m mistudio adapters --remove {name}) and start it again.")
    with _held(folder):
        return _Work(engine, name, progress, api_key).run()


@contextmanager
def judging(config: DistillConfig, api_key: str | None = None) -> Iterator[tuple[ScoreConfig, Provider | None]]:
    """How labels are scored on windows, and the judge where there is one.

    Raises:
        MistudioError: the judge cannot be used.
    """
    scoring = ScoreConfig.checked(provider=config.judge, model=config.judge_model, base_url=config.judge_base_url,
                                  fuzzing=False, seed=config.seed)
    judge = provider_of(scoring, api_key)
    try:
        yield scoring, judge
    finally:
        if judge is not None:
            judge.close()


class _Work:
    """One process' work on one adapter, whose folder it holds."""

    def __init__(self, engine: Engine, name: str, progress: Progress, api_key: str | None):
        self.engine, self.name, self.folder = engine, name, adapters.folder_of(name)
        told = json.loads((self.folder / adapters.SETTINGS).read_bytes())
        with session(engine) as work:
            self.extraction = work.get(Extraction, told.pop("extraction"))
        if self.extraction is None or self.extraction.created_at.isoformat() != told.pop("extracted"):
            raise MistudioError(f"The extraction that {name} learns from is not in this database.",
                                "Give the database that it was started with: --db URL.")
        self.config = DistillConfig.checked(**told)
        self.outer, self.api_key, self.reported = progress, api_key, ("", 0.0)

    def run(self) -> Card:
        (self.folder / adapters.CANCEL).unlink(missing_ok=True)
        try:
            card = self._stages()
        except MistudioError as error:
            self._write("Stopped", 0.0, "", "" if isinstance(error, Cancelled) else str(error))
            raise
        write_whole(self.folder / adapters.CARD, card.model_dump_json(indent=1).encode())
        for name in PASSING:
            (self.folder / name).unlink(missing_ok=True)
        return card

    def _stages(self) -> Card:
        samples = Samples.load(self.folder / SAMPLES)
        if (self.folder / BEFORE).exists():
            before = Measured.model_validate_json((self.folder / BEFORE).read_bytes())
        else:
            before = self._measured(self._labeler_before(), samples, "before")
            write_whole(self.folder / BEFORE, before.model_dump_json().encode())
        revision = self._trained(samples)
        gc.collect()  # the trained model's parts refer to each other, and the next one needs the room
        after = self._measured(EmbeddedProvider(self.folder, base=self.config.base, revision=revision), samples,
                               "after")
        return Card(
            name=self.name, base=self.config.base, revision=revision, compared=self._compared(),
            extraction=self.extraction.id, extraction_name=self.extraction.name, trained=len(samples.train),
            held_out=len(samples.held_out), left_out=samples.left_out, settings=self.config.model_dump(),
            before=before.summary(), after=after.summary(), verdict=verdict(before, after),
            labels=[HeldOutLabel(index=held.index, reference=held.label, before=old, after=new) for held, old, new in
                    zip(samples.held_out, before.labels, after.labels, strict=True)],
            created_at=datetime.now(UTC))

    def _compared(self) -> str:
        return "the shipped embedded labeler" if self.config.base == MODEL_NAME else "the base model without an adapter"

    def _labeler_before(self) -> EmbeddedProvider:
        shipped = self.config.base == MODEL_NAME
        return EmbeddedProvider(ADAPTER if shipped else None, base=self.config.base)

    def _measured(self, provider: EmbeddedProvider, samples: Samples, when: str) -> Measured:
        def tell(what: str) -> Callable[[int, int], None]:
            return lambda done, all_: self.report(f"{what} held-out features, {when}", done / all_,
                                                  f"{done:,} of {all_:,}")

        asked = label_all(provider, [held.prompt for held in samples.held_out], tell("Labeling"))
        labels = [each.answer.label if each.answer else None for each in asked]
        measured = compare(labels, [held.label for held in samples.held_out])
        with judging(self.config, self.api_key) as (scoring, judge):
            measured.scores = score_all(self.engine, samples.held_out, labels, scoring, judge, tell("Scoring"))
        return measured

    def _trained(self, samples: Samples) -> str:
        """Train and save the adapter. Returns what tells its base model from others."""
        from peft import PeftModel

        from mistudio.distill.train import Row, Step, batched, fit, new_adapter, row_of, save_adapter
        from mistudio.label.base import load_base, revision_of

        config = self.config
        self.report("Loading the model", 0.0, config.base)
        loaded = load_base(config.base)
        revision = revision_of(config.base, loaded)
        if config.begins_from_shipped:
            model = PeftModel.from_pretrained(loaded.model, ADAPTER, is_trainable=True)
        else:
            model = new_adapter(loaded.model, config.rank or RANK, config.seed)

        def batches(epoch: int) -> list[list[Row]]:
            chosen = random.Random(f"{config.seed} {epoch}")
            rows = [row_of(sample, chosen, loaded.tokenizer) for sample in samples.train]
            return batched(rows, config.batch_size, chosen)

        def on_step(step: Step) -> None:
            self.report("Training", step.done / step.steps, str(step))

        fit(model, batches, epochs=config.epochs, learning_rate=config.learning_rate, seed=config.seed,
            checkpoint=self.folder / CHECKPOINT, checkpoint_seconds=config.checkpoint_seconds, on_step=on_step)
        save_adapter(model, self.folder, config.base)
        return revision

    def report(self, step: str, fraction: float, detail: str) -> None:
        """Say how far it is, to the caller and in the folder.

        Raises:
            Cancelled: somebody asked to stop.
        """
        if (self.folder / adapters.CANCEL).exists():
            raise Cancelled(f"The distillation of {self.name} was stopped.", adapters.resume_line(self.name))
        self.outer(step, fraction, detail)
        if step != self.reported[0] or time.monotonic() - self.reported[1] > REPORT_SECONDS:
            self._write(step, fraction, detail)

    def _write(self, step: str, fraction: float, detail: str, error: str = "") -> None:
        told = {"step": step, "fraction": fraction, "detail": detail, "error": error}
        # Where the disk is full, what is said of the progress matters least.
        with suppress(OSError):
            write_whole(self.folder / adapters.PROGRESS, json.dumps(told).encode())
        self.reported = (step, time.monotonic())


def _check_free(name: str, folder: Path) -> None:
    remove = f"or remove it first: python -m mistudio adapters --remove {name}"
    if not (folder / adapters.CARD).exists() and (folder / adapters.SETTINGS).exists():
        raise MistudioError(f"There is a distillation {name} that has not ended.",
                            f"{adapters.resume_line(name)}, {remove}")
    if (folder / adapters.CARD).exists():
        raise MistudioError(f"There is an adapter {name} already.", f"Choose another name, {remove}")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder where there is none, and keep other processes from training the same adapter meanwhile."""
    lock = FileLock(folder / adapters.LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever only looks whether it is held holds it for a moment.
        lock.acquire(timeout=1)
    except Timeout as error:
        raise MistudioError(f"The adapter {folder.name} is being trained by another process.",
                            "Wait until it ends, or cancel it there.") from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        lock.release()


def _unwritable(folder: Path, error: OSError) -> MistudioError:
    return MistudioError(f"The folder {folder} cannot be read or written: {error.strerror or error}.",
                         "Free some disk space or make it writable, then go on with --resume.")
