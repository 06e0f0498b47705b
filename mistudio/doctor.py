"""What mistudio needs to run here, and what to do where something is missing. It changes nothing."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
from packaging.requirements import Requirement

from mistudio import __version__
from mistudio.demo.fetch import MODEL_NAME, NEEDED_BYTES
from mistudio.demo.setup import SAE_FOLDER
from mistudio.demo.sums import NAME as SUMS
from mistudio.demo.sums import wrong_files
from mistudio.errors import MistudioError
from mistudio.label.adapters import list_adapters
from mistudio.label.providers.connection import address_of, try_connection
from mistudio.settings import PROJECT, settings
from mistudio.store.checking import look_at

OLDEST_PYTHON = (3, 11)
# What the demo needs at its peak (benchmarks.cloud).
NEEDED_MEMORY = 1_500_000_000
LITTLE_DISK = 100_000_000
INSTALL = "Run: pip install -r requirements.txt"
RESTORE = "Restore it from the repository: git checkout -- mistudio/demo"
MINE = Path(__file__).parent / "demo"


class Finding(NamedTuple):
    """What one check found; ``state`` is ok, warning (something does less than it could) or problem (something that is
    asked for cannot work), and ``hint`` says what to do then."""

    check: str
    state: Literal["ok", "warning", "problem"]
    text: str
    hint: str = ""


def examine(url: str | None = None) -> Iterator[Finding]:
    """Check one thing after the other; the last ones load models and take seconds.

    Args:
        url: the database to look at; the settings' database when not given.
    """
    yield _python()
    yield from _libraries()
    yield _data_folder()
    yield _database(url)
    yield _memory()
    yield _shipped()
    yield _demo_model()
    yield _adapters()
    yield _server("openai", "OPENAI_BASE_URL", bool(settings().openai_api_key or settings().openai_base_url),
                  "no key in OPENAI_API_KEY")
    yield _server("ollama", "OLLAMA_HOST", "ollama_host" in settings().model_fields_set, "OLLAMA_HOST is not set")
    yield _tried("device", _device)
    yield _tried("search by meaning", _encoder)
    if (settings().models_dir / MODEL_NAME).is_dir():
        yield _tried("embedded labeler", _embedded)


def _python() -> Finding:
    found = f"{platform.python_version()}, mistudio {__version__}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Finding("Python", "problem", found, f"Install Python {wanted} or newer, and make the environment anew.")
    return Finding("Python", "ok", found)


def _libraries() -> Iterator[Finding]:
    others = []
    pins = dict(pinned(PROJECT / "requirements.txt"))
    for name, wanted in pins.items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            yield Finding("libraries", "problem", f"{name} is not installed.", INSTALL)
            continue
        if found != wanted:
            others.append(f"{name} {found} instead of {wanted}")
    if others:
        yield Finding("libraries", "warning", f"Not the tested versions: {', '.join(others)}.", INSTALL)
    else:
        yield Finding("libraries", "ok", f"{len(pins)} are as requirements.txt names them")


def pinned(file: Path) -> Iterator[tuple[str, str]]:
    """Name and version of every requirement that running needs here; those under ``# tests`` are left out."""
    for line in file.read_text().partition("# tests")[0].splitlines():
        if "==" in (written := line.partition("#")[0]):
            wanted = Requirement(written)
            if wanted.marker is None or wanted.marker.evaluate():
                yield wanted.name, next(iter(wanted.specifier)).version


def _data_folder() -> Finding:
    folder = settings().data_dir
    there = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = psutil.disk_usage(str(there)).free
    except OSError as error:
        return Finding("data folder", "problem", f"{folder} cannot be written: {error.strerror}.",
                       "Let this user write it, or set MISTUDIO_DATA_DIR to another folder.")
    left = f"{folder}, {free / 1e9:,.1f} GB free"
    free_some = "Free some space, or set MISTUDIO_DATA_DIR to a folder on a larger disk."
    if free < LITTLE_DISK:
        return Finding("data folder", "problem", left, free_some)
    if free < NEEDED_BYTES:
        return Finding("data folder", "warning", f"{left}; fetching the demo model takes {NEEDED_BYTES / 1e9} GB",
                       free_some)
    return Finding("data folder", "ok", left)


def _database(url: str | None) -> Finding:
    try:
        found = look_at(url)
    except MistudioError as error:
        return Finding("database", "problem", error.message, error.hint)
    if found.state == "old":
        return Finding("database", "warning", found.text, "Make a copy first: the upgrade has no way back.")
    return Finding("database", "ok", found.text)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    found = f"{free / 1e9:,.1f} GB free"
    if free < NEEDED_MEMORY:
        return Finding("memory", "warning", f"{found}; the demo and the embedded labeler take "
                       f"{NEEDED_MEMORY / 1e9} GB", "End other programs, or label through a server.")
    return Finding("memory", "ok", found)


def _shipped() -> Finding:
    wrong = [f"{folder.name}/{name}" for folder in (SAE_FOLDER, MINE / "adapter") for name in _wrong(folder)]
    if wrong:
        return Finding("shipped files", "problem", f"Missing, or not the ones of this version: {', '.join(wrong)}.",
                       RESTORE)
    return Finding("shipped files", "ok", "the demo's SAE and the embedded labeler's adapter are as published")


def _demo_model() -> Finding:
    folder = settings().models_dir / MODEL_NAME
    if not folder.is_dir():
        return Finding("demo model", "ok", "not here yet; the demo and the embedded labeler fetch it")
    wrong = _wrong(folder)
    if wrong:
        return Finding("demo model", "problem", f"Missing in {folder}, or not as fetched: {', '.join(wrong)}.",
                       "Remove the folder: it is fetched again when it is needed.")
    return Finding("demo model", "ok", f"{folder} is as it was fetched")


def _wrong(folder: Path) -> list[str]:
    try:
        return wrong_files(folder)
    except (OSError, ValueError):
        return [SUMS]


def _adapters() -> Finding:
    found = list_adapters()
    broken = [adapter.name for adapter in found if adapter.state == "unreadable"]
    if broken:
        return Finding("adapters", "warning", f"Cannot be read: {', '.join(broken)}.",
                       "Restore the folder, or remove it and distill again.")
    return Finding("adapters", "ok", f"the shipped one and {len(found)} of your own")


def _server(provider: str, variable: str, wanted: bool, missing: str) -> Finding:
    address = address_of(provider)
    if provider == "openai" and not wanted:
        return Finding(provider, "ok", f"not set up: {missing}")
    try:
        found = try_connection(provider)
    except MistudioError as error:
        if not wanted:
            return Finding(provider, "ok", f"not used: nothing answers at {address}, and {missing}")
        return Finding(provider, "problem", error.message, f"{error.hint} The address is that of {variable}.")
    if not found.models:
        return Finding(provider, "warning", f"{address} answers, but offers no model.", "Load or pull one there.")
    more = f" and {len(found.models) - 3} more" if len(found.models) > 3 else ""
    return Finding(provider, "ok", f"{address} answers in {found.seconds:.1f} s: {', '.join(found.models[:3])}{more}")


def _tried(check: str, act: Callable[[], str]) -> Finding:
    try:
        return Finding(check, "ok", act())
    except MistudioError as error:
        return Finding(check, "problem", error.message, error.hint)
    except (ImportError, OSError) as error:
        # A library that was installed for another machine or Python fails like this.
        return Finding(check, "problem", f"A library cannot be loaded: {error}", INSTALL)


def _device() -> str:
    import torch

    from mistudio.model.load import pick_device

    device = pick_device()
    if device.type != "cuda":
        return f"{device}, {os.cpu_count()} cores, torch {torch.__version__}"
    free, whole = torch.cuda.mem_get_info(device)
    return (f"{torch.cuda.get_device_name(device)}, {free / 1e9:,.1f} of {whole / 1e9:,.1f} GB free, "
            f"torch {torch.__version__}")


def _encoder() -> str:
    from mistudio.search.encoder import NAME, encode

    encode(["a word"])
    return f"{NAME} is as published and loads"


def _embedded() -> str:
    return f"loads and wrote a label after {try_connection('embedded').seconds:.1f} s"
