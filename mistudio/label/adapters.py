"""Adapters of one's own for the embedded labeler, made by ``mistudio.distill``: the provider ``embedded:NAME``.

Each is a folder in the data folder's ``adapters``: weights and config as peft saves them, and ``card.json``, which says
what it was made from and what it is worth. The card is written last: an adapter can be used as soon as it has one.
Before that the folder holds what a killed training goes on from, and a lock while a process trains it.
"""

import json
import re
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from mistudio.access import require_write
from mistudio.errors import MistudioError, ProviderSetupError
from mistudio.settings import settings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
PREFIX = "embedded:"
WEIGHTS = "adapter_model.safetensors"
CARD, SETTINGS, PROGRESS, CANCEL, LOCK = "card.json", "settings.json", "progress.json", "cancel", ".lock"


class Measures(BaseModel):
    """What a labeler's labels of held-out features are worth.

    ``similarity`` is the mean cosine of their meanings with the reference labels', ``shuffled`` with those of all other
    features; ``top1`` and ``top5`` are the shares for which no other reference is nearer, or fewer than five are.
    ``embedding`` (AUROC) and ``detection`` (balanced accuracy) are on windows of the test split; None when not
    measured. A feature without a usable label (``failed``) has similarity 0, no right reference, and scores 0.5.
    """

    failed: int
    similarity: float
    shuffled: float
    top1: float
    top5: float
    embedding: float | None = None
    detection: float | None = None


class Verdict(BaseModel):
    """Whether an adapter is better than what there was before, in a sentence with its reason; and the mean difference
    of similarity with its 95% interval."""

    better: bool
    sentence: str
    difference: float
    low: float
    high: float


class HeldOutLabel(BaseModel):
    """The labels of one held-out feature; None where a labeler gave no usable one."""

    index: int
    reference: str
    before: str | None
    after: str | None


class Card(BaseModel):
    """What an adapter was made from, and what it is worth.

    ``base`` is the model it belongs to, ``revision`` its commit, or what tells a folder's files apart; ``compared`` is
    what gave the labels before. ``trained`` and ``held_out`` count labels, ``left_out`` those of no use, by reason.
    """

    model_config = ConfigDict(protected_namespaces=())

    name: str
    base: str
    revision: str
    compared: str
    extraction: int
    extraction_name: str
    trained: int
    held_out: int
    left_out: dict[str, int]
    settings: dict
    before: Measures
    after: Measures
    verdict: Verdict
    labels: list[HeldOutLabel]
    created_at: datetime


@dataclass(frozen=True)
class Adapter:
    """One folder. ``state`` is done (it has a card), training (a process has it), stopped, or unreadable.

    ``progress`` is ``step``, ``fraction`` and ``detail`` of a training, and ``error`` where it ended with one.
    """

    name: str
    state: str
    card: Card | None = None
    settings: dict = field(default_factory=dict)
    progress: dict = field(default_factory=dict)


def folder_of(name: str) -> Path:
    """The folder of an adapter, whether it is there or not. A name is never a path.

    Raises:
        MistudioError: it cannot be a name.
    """
    if not NAME.fullmatch(name):
        raise MistudioError(f"{name!r} cannot be the name of an adapter.",
                            "Use up to 50 small letters, digits, - and _, beginning with a letter or digit.")
    return _home() / name


def list_adapters() -> list[Adapter]:
    """Every adapter, by name; those that are being trained, and those whose training stopped, too."""
    if not _home().is_dir():
        return []
    names = sorted(path.name for path in _home().iterdir() if path.is_dir() and NAME.fullmatch(path.name))
    return [get_adapter(name) for name in names]


def get_adapter(name: str) -> Adapter:
    """One adapter.

    Raises:
        MistudioError: there is none of this name.
    """
    folder = folder_of(name)
    if not folder.is_dir():
        raise MistudioError(f"There is no adapter {name!r}.", _offered())
    told = _read(folder / SETTINGS), _read(folder / PROGRESS)
    try:
        card = Card.model_validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        return Adapter(name, "training" if _is_held(folder) else "stopped", None, *told)
    except (OSError, ValidationError):
        return Adapter(name, "unreadable", None, *told)
    return Adapter(name, "done", card, *told)


def usable(name: str) -> tuple[Path, Card]:
    """The folder of an adapter that can label, and its card.

    Raises:
        ProviderSetupError: there is none of this name, or it is not ready.
    """
    try:
        found = get_adapter(name)
    except MistudioError as error:
        raise ProviderSetupError(error.message, error.hint, kind="setup") from error
    folder = folder_of(name)
    if found.state in ("training", "stopped"):
        raise ProviderSetupError(f"The adapter {name} is not ready: its training {_STANDS[found.state]}.",
                                 resume_line(name), kind="setup")
    if found.card is None or not (folder / WEIGHTS).is_file():
        raise ProviderSetupError(f"The adapter {name} is damaged: {folder} lacks its weights or a readable card.",
                                 "Restore the folder, or remove it and distill again.", kind="setup")
    return folder, found.card


def remove_adapter(name: str) -> None:
    """Delete an adapter, or what is left of a training.

    Raises:
        MistudioError: there is none of this name, it is being trained, or the visitor may not.
    """
    require_write()
    if get_adapter(name).state == "training":
        raise MistudioError(f"The adapter {name} is being trained.", "Cancel that first.")
    shutil.rmtree(folder_of(name))


def request_cancel(name: str) -> None:
    """Ask the process that trains an adapter to stop after its present step. Raises: AccessError."""
    require_write()
    (folder_of(name) / CANCEL).touch()


def resume_line(name: str) -> str:
    """How to go on with a distillation that stopped."""
    return f"Go on with: python -m mistudio distill {name} --resume"


def labeler(provider: str, model: str) -> str:
    """Who labels or labeled, as people read it: ``embedded:NAME`` for an adapter of one's own."""
    if provider == "embedded" and NAME.fullmatch(model):
        return f"{PREFIX}{model}"
    return " ".join(filter(None, (provider, model)))


_STANDS = {"training": "goes on", "stopped": "stopped before its end"}


def _home() -> Path:
    return settings().data_dir / "adapters"


def _offered() -> str:
    names = [found.name for found in list_adapters() if found.state == "done"]
    return f"Use one of: {', '.join(names)}." if names else "Make one: python -m mistudio distill NAME"


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _is_held(folder: Path) -> bool:
    # The lock ends with its process, however that ends, so it says more than any time stamp.
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
