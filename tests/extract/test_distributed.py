"""Several workers through Ray give the result of one local pass, also when one of them is killed."""

import signal
import sys
import threading
from contextlib import suppress

import psutil
import pytest

from mistudio.errors import MistudioError, ModelError
from mistudio.extract.pipeline import extract
from mistudio.store import open_store
from tests.extract.outcome import outcome


@pytest.fixture
def ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install -r requirements-ray.txt)")
    yield ray
    ray.shutdown()


def local_outcome(folder, config):
    engine = open_store(f"sqlite:///{folder / 'local.db'}")
    extract(engine, config)
    found = outcome(engine)
    engine.dispose()
    return found


def workers():
    """The processes, of those started here, in which a share of the corpus is being run."""
    running = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if "ray::_share" in " ".join(process.cmdline()):
                running.append(process)
    return running


def test_two_workers_give_the_local_result(engine, config, ray, tmp_path):
    told = []
    extract(engine, config.model_copy(update={"engine": "ray", "workers": 2}), lambda *step: told.append(step))
    assert outcome(engine) == local_outcome(tmp_path, config)
    assert any("2 of 2 workers are done" in detail for _step, _share, detail in told)
    assert any(detail.startswith("4,") and "of 4,000 tokens" in detail for _step, _share, detail in told)


def test_a_killed_worker_is_replaced_in_the_middle_of_ranges(engine, config, ray, tmp_path):
    killed, config = [], config.model_copy(update={"features_at_once": 30})

    def kill_one():
        while not killed and running.is_alive():
            for process in workers():
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
                return
            running.join(0.1)

    running = threading.Thread(
        target=extract, args=(engine, config.model_copy(update={"engine": "ray", "workers": 2})))
    running.start()
    kill_one()
    running.join(240)
    assert killed
    assert outcome(engine) == local_outcome(tmp_path, config)


def test_a_failure_in_a_worker_is_the_message_it_would_be_here(engine, config, ray, tmp_path):
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="could not be loaded"):
        extract(engine, config.model_copy(update={"engine": "ray", "workers": 2}))


def test_a_cluster_that_is_not_there_is_a_message(engine, config, ray):
    with pytest.raises(MistudioError, match="cannot be reached") as caught:
        extract(engine, config.model_copy(update={"engine": "ray", "address": "127.0.0.1:1"}))
    assert "ray start" in caught.value.hint


def test_without_ray_a_message_says_what_to_install(engine, config, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MistudioError, match="Ray is not installed") as caught:
        extract(engine, config.model_copy(update={"engine": "ray"}))
    assert "requirements-ray.txt" in caught.value.hint
