"""``distill`` and ``adapters`` in the shell, in processes of their own that are interrupted and killed."""

import json
import signal
import time

import pytest
from safetensors.torch import load_file

from mistudio.distill.config import DistillConfig
from mistudio.distill.job import distill
from mistudio.label import adapters
from tests.cli.test_shell import as_json, shell, start

OPTIONS = {"epochs": 12, "batch_size": 4, "rank": 2, "checkpoint_seconds": 0}


def trains(process):
    """Wait until the process says that it trains."""
    until = time.monotonic() + 60
    told = adapters.folder_of("mine") / "progress.json"
    while time.monotonic() < until and process.poll() is None:
        text = told.read_text() if told.exists() else "{}"
        if json.loads(text).get("step") == "Training":
            return
        time.sleep(0.01)  # the process tells nobody but its file
    pytest.fail(f"no training: {process.communicate(timeout=10)}")


def test_interrupted_and_killed_it_goes_on_and_ends_the_same(engine, labeled, base):
    given = [part for name, value in OPTIONS.items() for part in (f"--{name.replace('_', '-')}", value)]
    process = start("distill", "mine", "--base", base, *given)
    trains(process)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Stopping" in err and "Traceback" not in err
    assert "Go on with: python -m mistudio distill mine --resume" in err
    assert as_json("adapters")[0]["state"] == "stopped"
    process = start("distill", "mine", "--resume")
    trains(process)
    process.kill()
    process.communicate(timeout=60)
    out, err = shell("distill", "mine", "--resume")
    assert "Training: 100% step 84/84" in err and "similarity to the reference" in out and "better" in out.lower()
    distill(engine, "whole", DistillConfig(base=base, **OPTIONS))
    whole, cut = (load_file(adapters.folder_of(name) / "adapter_model.safetensors") for name in ("whole", "mine"))
    assert all(bool((whole[name] == cut[name]).all()) for name in whole)
    listed, _err = shell("adapters")
    assert "mine" in listed and "whole" in listed
    assert [found["card"]["trained"] for found in as_json("adapters", "--remove", "whole")] == [26]


@pytest.mark.parametrize(("arguments", "says"), [
    (("distill", "Mine"), "cannot be the name"),
    (("distill", "mine", "--resume"), "no adapter"),
    (("distill", "mine", "--resume", "--epochs", "3"), "options it was started with"),
    (("distill", "mine", "--min-score", "0.5"), "30 are the fewest"),
    (("adapters", "--remove", "mine"), "no adapter"),
    (("label", "--provider", "embedded:mine"), "no adapter"),
])
def test_mistakes_get_a_message_and_a_status(labeled, arguments, says):
    _out, err = shell(*arguments, status=1)
    assert says in err
