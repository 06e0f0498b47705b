"""An extraction that is killed, meets a broken checkpoint, a changed corpus, a full disk or bad numbers."""

import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from sqlalchemy import event
from sqlmodel import select

from mistudio.errors import CorpusError, ModelError, StoreError
from mistudio.extract.pipeline import extract
from mistudio.settings import settings
from mistudio.store import Extraction, open_store, session
from tests.extract.outcome import outcome

KILLED_AT_A_BATCH = """
import os, signal, sys
from mistudio.extract.config import ExtractConfig
from mistudio.extract.pipeline import extract
from mistudio.store import open_store

left = int(sys.argv[3])

def progress(step, share, detail):
    global left
    left -= step == "Running model and SAE"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

extract(open_store(sys.argv[1]), ExtractConfig.model_validate_json(sys.argv[2]), progress)
"""


def checkpoints():
    return sorted(settings().data_dir.glob("checkpoints/*.pt"))


@pytest.fixture
def undisturbed(tmp_path, config):
    engine = open_store(f"sqlite:///{tmp_path / 'undisturbed.db'}")
    extract(engine, config)
    found = outcome(engine)
    engine.dispose()
    return found


def killed(url, config, batches):
    done = subprocess.run([sys.executable, "-c", KILLED_AT_A_BATCH, url, config.model_dump_json(), str(batches)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_again_and_again_it_ends_with_the_same_result(engine, database_url, config, undisturbed):
    for batches in (1, 3, 2):
        killed(database_url, config, batches)
        assert len(checkpoints()) == 1
    told = []
    extract(engine, config.model_copy(update={"batch_size": 4}), lambda *step: told.append(step))
    assert outcome(engine) == undisturbed
    assert any(step == "Finding the place where it stopped" for step, *_rest in told)
    assert checkpoints() == []


def test_a_broken_checkpoint_costs_time_only(engine, database_url, config, undisturbed):
    killed(database_url, config, 3)
    checkpoint, = checkpoints()
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    extract(engine, config)
    with session(engine) as work:
        states = [row.state for row in work.exec(select(Extraction).order_by(Extraction.id)).all()]
        work.delete(work.exec(select(Extraction).order_by(Extraction.id)).first())
    assert states[-1] == "done"
    assert outcome(engine) == undisturbed


def test_a_corpus_that_changed_meanwhile_is_told_and_not_mixed(engine, database_url, config, tmp_path):
    killed(database_url, config, 3)
    first = min((tmp_path / "corpus").iterdir())
    first.write_text("Something else entirely. " + first.read_text())
    with pytest.raises(CorpusError, match="has changed"):
        extract(engine, config)
    assert checkpoints() == []
    extract(engine, config)


def test_a_full_disk_loses_nothing_that_was_collected(engine, config, undisturbed):
    def limit(connection, _record):  # SQLite takes it for the size that the file has now
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(engine, "connect", limit)
    engine.dispose()
    with pytest.raises(StoreError, match="full") as caught:
        extract(engine, config)
    assert "start the same extraction again" in caught.value.hint
    event.remove(engine, "connect", limit)
    engine.dispose()
    told = []
    extract(engine, config, lambda *step: told.append(step))
    assert not [step for step, *_rest in told if step == "Running model and SAE"], "nothing is run a second time"
    assert outcome(engine) == undisturbed


def test_activations_that_are_no_numbers_are_a_message(engine, config, tmp_path):
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        extract(engine, config)
    with session(engine) as work:
        row = work.exec(select(Extraction)).one()
    assert row.state == "failed" and "not finite" in row.error


def test_two_processes_do_not_run_the_same_extraction(engine, config):
    clash = []

    def start_another(step, _share, _detail):
        if step == "Running model and SAE" and not clash:
            with pytest.raises(StoreError, match="another process") as caught:
                extract(engine, config)
            clash.append(caught.value)

    extract(engine, config, start_another)
    assert clash
