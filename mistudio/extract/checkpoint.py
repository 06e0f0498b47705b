"""What a killed extraction goes on from: everything collected so far, in one file that is replaced as a whole."""

import hashlib
import json
import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import UnpicklingError

import torch
from filelock import FileLock, Timeout

from mistudio.errors import CorpusError, StoreError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import Contexts
from mistudio.files import replacing
from mistudio.settings import settings

log = logging.getLogger(__name__)
# At most this share of the time goes into writing checkpoints, however large they are.
SHARE = 0.05
# Options that change how an extraction runs, but not what comes out of it.
WITHOUT_EFFECT = {"address", "batch_size", "checkpoint_seconds", "device", "engine", "features_at_once", "name",
                  "workers"}


@dataclass
class Progressed:
    """How far a pass is: contexts done, a checksum of their tokens, the row in the database, the range of features that
    it collects, and the checksum of an earlier range's whole pass."""

    contexts: int = 0
    checksum: int = 0
    extraction_id: int | None = None
    first: int = 0
    last: int = 0
    corpus: int | None = None


class Checkpoint:
    """The checkpoint of one extraction, told apart by database, options, model and SAE."""

    def __init__(self, database: str, config: ExtractConfig, sae_hash: str, revision: str):
        told = config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
        name = hashlib.sha256(json.dumps([database, told, sae_hash, revision]).encode()).hexdigest()[:24]
        self.path = settings().data_dir / "checkpoints" / f"{name}.pt"
        self.every = config.checkpoint_seconds
        self.at = Progressed()
        self._kept: dict | None = None
        self._seen = 0
        self.next = time.monotonic() + self.every

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from running the same extraction meanwhile.

        Raises:
            StoreError: one does.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_suffix(".lock"))
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError("The same extraction is running in another process.", "Wait until it ends.") from error
        except OSError as error:
            raise StoreError(f"The folder {self.path.parent} cannot be written: {error.strerror}.",
                             "Set MISTUDIO_DATA_DIR to a folder that can be written.") from error
        try:
            yield
        finally:
            lock.release()

    def load(self) -> None:
        """Read the last checkpoint, where there is one, into ``at``."""
        if not self.path.exists():
            return
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            self.at, self._kept = Progressed(**kept["at"]), kept["collected"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, UnpicklingError) as error:
            log.warning("the checkpoint %s cannot be read (%s); the extraction starts again", self.path, error)
            self.remove()

    def begin(self, extraction_id: int, first: int, last: int, collected: Collected) -> None:
        """Begin a pass for a range of features, or go on with it: put what was kept of it into ``collected``."""
        self._seen = 0
        if self._kept is not None and (self.at.first, self.at.last) == (first, last):
            collected.restore(self._kept)
            self.at.extraction_id = extraction_id
        else:
            self.at = Progressed(extraction_id=extraction_id, first=first, last=last,
                                 corpus=self.at.corpus if first else None)
        self._kept = None

    def remaining(self, batch: Contexts, first: int) -> Contexts | None:
        """The part of a batch that is not done yet; None when all of it is.

        Raises:
            CorpusError: what was done before had other tokens.
        """
        done = min(max(self.at.contexts - first, 0), len(batch.tokens))
        if done:
            self._seen = zlib.crc32(batch.tokens[:done].tobytes(), self._seen)
            if first + done == self.at.contexts:
                self._expect(self._seen, self.at.checksum)
        return None if done == len(batch.tokens) else Contexts(*(part[done:] for part in batch))

    def passed(self, batch: Contexts, collected: Collected) -> None:
        """A batch is collected; write a checkpoint when one is due."""
        self.at.contexts += len(batch.tokens)
        self.at.checksum = zlib.crc32(batch.tokens.tobytes(), self.at.checksum)
        if time.monotonic() >= self.next:
            self.save(collected)

    def save(self, collected: Collected | None) -> None:
        """Write the file beside the old one, then replace that. A disk that is full costs the checkpoint only.

        Args:
            collected: None where all that was collected is in the database.
        """
        started = time.monotonic()
        try:
            with replacing(self.path) as file:
                torch.save({"collected": collected and collected.state(), "at": vars(self.at)}, file)
        except (OSError, RuntimeError) as error:
            log.warning("no checkpoint could be written to %s: %s", self.path.parent, error)
        took = time.monotonic() - started
        self.next = time.monotonic() + max(self.every, took / SHARE)

    def completed(self) -> None:
        """The pass for a range is over.

        Raises:
            CorpusError: the passes for the ranges before it had other tokens.
        """
        if self.at.corpus is not None:
            self._expect(self.at.checksum, self.at.corpus)
        self.at.corpus = self.at.checksum

    def stored(self) -> None:
        """The range is in the database: keep no more than which extraction it belongs to."""
        self.at = Progressed(extraction_id=self.at.extraction_id, first=self.at.last, corpus=self.at.corpus)
        self.save(None)

    def _expect(self, checksum: int, before: int) -> None:
        if checksum != before:
            self.remove()
            raise CorpusError("The corpus has changed since this extraction began.",
                              "Start it again: it now begins from the start.")

    def remove(self) -> None:
        """Forget what was kept."""
        self.path.unlink(missing_ok=True)
        self.at, self._kept = Progressed(), None
