"""Labeling through a real server of the OpenAI protocol that nobody here wrote: ``transformers serve``."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from mistudio.errors import ProviderError
from mistudio.label.answer import answer_schema
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.providers import list_models, make_provider
from mistudio.store import items, runs, session
from mistudio.store.features import FeatureFilter
from tests.label.helpers import run_all

MODEL = "local/SmolLM2-135M-Instruct"
REVISION = "0" * 40
# Without these ends this small model writes on and on: the server then knows only our limit of 2048 tokens.
ENDS = {"stop_strings": ["}"], "max_time": 100}
FEATURES = (2, 3)  # what this model, decoding greedily, names in good JSON


def hub_with(model_folder: Path, hub: Path) -> Path:
    """A Hugging Face cache that holds the model, so that the server finds and lists it by name."""
    model = hub / f"models--{MODEL.replace('/', '--')}"
    snapshot = model / "snapshots" / REVISION
    for folder in (snapshot, model / "refs", model / "blobs"):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(REVISION)
    for file in model_folder.iterdir():
        (snapshot / file.name).symlink_to(file.resolve())
    options = snapshot / "generation_config.json"
    known = json.loads(options.read_text()) | ENDS
    options.unlink()
    options.write_text(json.dumps(known))
    return hub


@pytest.fixture(scope="module")
def address(demo_model_folder, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [shutil.which("transformers", path=Path(sys.executable).parent) or "transformers", "serve", MODEL,
               "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    hub = hub_with(demo_model_folder, tmp_path_factory.mktemp("hub"))
    environment = os.environ | {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not answers(server, f"http://127.0.0.1:{port}/health"):
                log.seek(0)
                pytest.fail(f"the server did not start: {log.read()[-3000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()
            server.wait()
            log.seek(0)
            print(log.read()[-3000:])  # pytest shows it where a test failed


def answers(server: subprocess.Popen, url: str, timeout: float = 120) -> bool:
    until = time.monotonic() + timeout
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.2)  # nothing signals that a port has opened
    return False


def test_a_run_against_transformers_serve(engine, toy, address):
    assert list_models("openai", address) == [MODEL]
    config = LabelConfig(provider="openai", model=MODEL, base_url=address, examples=3, negatives=0, temperature=0,
                         concurrency=1, timeout=120)
    run_id, state = run_all(engine, toy, config, FeatureFilter(indices=FEATURES))

    assert state == "done"
    with session(engine) as work:
        run, counts = runs.get_run(work, run_id), runs.run_counts(work, run_id)
        labels = runs.recent_labels(work, run_id, 10)
        failures = items.failures_by_reason(work, run_id)
    assert counts["queued"] == counts["skipped"] == 0
    assert (counts["done"], counts["failed"]) == (len(labels), sum(count for _kind, _reason, count in failures))
    assert counts["done"] + counts["failed"] == len(FEATURES)
    assert labels, failures  # this server ignores the JSON schema: prompt and parser alone have to do
    for _index, label in labels:
        assert json.loads(label.reply)["label"].split() == label.text.split()
        assert (label.model, label.prompt, label.origin) == (MODEL, "standard-v2", "llm")
        assert label.prompt_tokens > 500 and label.completion_tokens > 5 and label.seconds > 0
    for kind, reason, _count in failures:
        assert kind in ("truncated", "wrong schema", "prose")
        assert reason.startswith(("The reply", "The label")), reason
    # The run's tokens are those of all items, also of the failed.
    extra = [total - sum(counted) for total, counted in (
        (run.prompt_tokens, [label.prompt_tokens for _index, label in labels]),
        (run.completion_tokens, [label.completion_tokens for _index, label in labels]))]
    assert all(more > 0 for more in extra) if failures else extra == [0, 0]
    assert run.cost is None and price(config, run.prompt_tokens, run.completion_tokens) is None


def test_a_model_it_does_not_serve_is_a_message_that_names_it(address):
    provider = make_provider(LabelConfig(provider="openai", model="no/such-model", base_url=address))
    with pytest.raises(ProviderError, match="no/such-model") as caught:
        provider.complete([{"role": "user", "content": "Hello"}], answer_schema())
    assert caught.value.hint
