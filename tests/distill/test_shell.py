"""``distill`` and ``adapters`` in the shell: stopped by Ctrl-C, killed, gone on with, listed and removed."""

import os
import signal
import threading
import time

import pytest
from safetensors.torch import load_file

from mistudio.__main__ import app
from mistudio.distill.config import DistillConfig
from mistudio.distill.job import distill, resume
from mistudio.label import adapters
from tests.cli.test_shell import as_json, shell, start

OPTIONS = {"epochs": 4, "batch_size": 4, "rank": 2, "checkpoint_seconds": 0}


def given(base):
    return [str(part) for name, value in (OPTIONS | {"base": base}).items()
            for part in (f"--{name.replace('_', '-')}", value)]


def trains(name, seconds=120):
    """Whether it has trained a step within this time."""
    until = time.monotonic() + seconds
    checkpoint = adapters.folder_of(name) / "checkpoint.pt"
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.01)  # it tells nobody but its files
    return checkpoint.exists()


def test_killed_it_goes_on_and_ends_the_same(engine, labeled, base):
    process = start("distill", "mine", *given(base))
    assert trains("mine"), process.communicate(timeout=10)
    process.kill()
    process.communicate(timeout=60)
    (stopped,) = as_json("adapters")
    assert (stopped["state"], stopped["progress"]["step"]) == ("stopped", "Training")
    resume(engine, "mine")
    distill(engine, "whole", DistillConfig(base=base, **OPTIONS))
    whole, cut = (load_file(adapters.folder_of(name) / "adapter_model.safetensors") for name in ("whole", "mine"))
    assert all(bool((whole[name] == cut[name]).all()) for name in whole)
    listed, _err = shell("adapters")
    assert "mine" in listed and "whole" in listed and "better" in listed
    assert [found["card"]["trained"] for found in as_json("adapters", "--remove", "whole")] == [26]


def test_ctrl_c_saves_says_how_to_go_on_and_is_heard_once(engine, labeled, base, capsys):
    def press():
        assert trains("mine")
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    presses = threading.Thread(target=press)
    presses.start()
    assert app(["distill", "mine", *given(base)], standalone_mode=False) == 130
    presses.join()
    said = capsys.readouterr().err
    assert "Stopping after the present step" in said and said.rstrip().endswith("distill mine --resume")
    assert adapters.get_adapter("mine").state == "stopped"
    app(["distill", "mine", "--resume"], standalone_mode=False)
    printed, said = capsys.readouterr()
    assert "step 28/28" in said and "similarity to the reference" in printed
    assert adapters.get_adapter("mine").card.verdict.sentence in printed
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("arguments", "says"), [
    (("distill", "Mine"), "cannot be the name"),
    (("distill", "mine", "--resume"), "no adapter"),
    (("distill", "mine", "--resume", "--epochs", "3"), "options it was started with"),
    (("label", "--provider", "embedded:mine"), "no adapter"),
])
def test_mistakes_get_a_message_and_a_status(labeled, arguments, says):
    _out, err = shell(*arguments, status=1)
    assert says in err
