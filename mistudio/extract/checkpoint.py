"""What a killed extraction goes on from: everything collected so far, in one file that is replaced as a whole."""

import hashlib
import json
import logging
import os
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
from mistudio.settings import settings

log = logging.getLogger(__name__)
# At most this share of the time goes into writing checkpoints, however large they are.
SHARE = 0.05
# Options that change how an extraction runs, but not what comes out of it.
WITHOUT_EFFECT = {"address", "batch_size", "checkpoint_seconds", "device", "engine", "name", "workers"}


@dataclass
class Progressed:
    """How far a pass is: contexts done, a checksum of their tokens, and the row in the database."""

    contexts: int = 0
    checksum: int = 0
    extraction_id: int | None = None


class Checkpoint:
    """The checkpoint of one extraction, told apart by database, options, model and SAE."""

    def __init__(self, database: str, config: ExtractConfig, sae_hash: str, revision: str):
        told = config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
        name = hashlib.sha256(json.dumps([database, told, sae_hash, revision]).encode()).hexdigest()[:24]
        self.path = settings().data_dir / "checkpoints" / f"{name}.pt"
        self.every = config.checkpoint_seconds
        self.at = Progressed()
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

    def load(self, collected: Collected) -> None:
        """Put the last checkpoint's content into ``collected``; nothing happens where there is none."""
        if not self.path.exists():
            return
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            collected.restore(kept["collected"])
            self.at = Progressed(**kept["at"])
        except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
            log.warning("the checkpoint %s cannot be read (%s); the extraction starts again", self.path, error)
            self.remove()

    def remaining(self, batch: Contexts, first: int) -> Contexts | None:
        """The part of a batch that is not done yet; None when all of it is.

        Raises:
            CorpusError: what was done before had other tokens.
        """
        done = min(max(self.at.contexts - first, 0), len(batch.tokens))
        if done:
            self._seen = zlib.crc32(batch.tokens[:done].tobytes(), getattr(self, "_seen", 0))
            if first + done == self.at.contexts and self._seen != self.at.checksum:
                self.remove()
                raise CorpusError("The corpus has changed since this extraction was interrupted.",
                                  "Start it again: it now begins from the start.")
        return None if done == len(batch.tokens) else Contexts(*(part[done:] for part in batch))

    def passed(self, batch: Contexts, collected: Collected) -> None:
        """A batch is collected; write a checkpoint when one is due."""
        self.at.contexts += len(batch.tokens)
        self.at.checksum = zlib.crc32(batch.tokens.tobytes(), self.at.checksum)
        if time.monotonic() >= self.next:
            self.save(collected)

    def save(self, collected: Collected) -> None:
        """Write the file beside the old one, then replace that. A disk that is full costs the checkpoint only."""
        started = time.monotonic()
        draft = self.path.with_suffix(".part")
        try:
            with draft.open("wb") as file:
                torch.save({"collected": collected.state(), "at": vars(self.at)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except (OSError, RuntimeError) as error:
            log.warning("no checkpoint could be written to %s: %s", self.path.parent, error)
            draft.unlink(missing_ok=True)
        took = time.monotonic() - started
        self.next = time.monotonic() + max(self.every, took / SHARE)

    def remove(self) -> None:
        """Forget what was kept."""
        self.path.unlink(missing_ok=True)
        self.at = Progressed()
