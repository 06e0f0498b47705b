"""Batches at a server: sent once, looked at, and their answers taken in when they end."""

import pytest

from mistudio.batch import requests
from mistudio.batch.remote import fetch, submit
from mistudio.errors import MistudioError
from mistudio.jobs.labeling import start_run
from mistudio.run.loop import resume
from mistudio.store import runs, session
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_a_feature


@pytest.fixture
def run_id(engine, toy, server):
    return start_run(engine, toy, config_for(server), EVERYTHING)


def run_of(engine, run_id):
    with session(engine) as work:
        return runs.get_run(work, run_id)


def test_batches_go_out_and_come_back(engine, server, run_id, monkeypatch):
    monkeypatch.setattr(requests, "MOST_REQUESTS", 4)
    assert submit(engine, run_id) == 3
    assert run_of(engine, run_id).state == "waiting"
    states, report = fetch(engine, run_id)
    assert [(each.state, each.total) for each in states] == [("in_progress", 4), ("in_progress", 4), ("in_progress", 3)]
    assert report.taken == 0
    server.batches.end("batch_1")
    _states, report = fetch(engine, run_id)
    assert (report.taken, report.left) == (4, {run_id: LABELABLE - 4})
    server.batches.end("batch_0")
    server.batches.end("batch_2")
    states, report = fetch(engine, run_id)
    assert report.taken == LABELABLE - 4
    assert [each.completed for each in states] == [4, 4, 3]
    assert run_of(engine, run_id).state == "done"
    assert labels_a_feature(engine) == [1] * LABELABLE
    assert fetch(engine, run_id)[1].taken == 0


def test_what_expired_can_be_sent_again_and_what_is_away_is_not(engine, server, run_id, monkeypatch):
    monkeypatch.setattr(requests, "MOST_REQUESTS", 6)
    submit(engine, run_id)
    server.batches.end("batch_0", "expired", answered=2)
    _states, report = fetch(engine, run_id)
    assert (report.taken, report.failed) == (2, 4)
    assert resume(engine, run_id, failed_too=True) == LABELABLE - 2
    assert submit(engine, run_id) == 1
    assert server.batches.made["batch_2"]["request_counts"]["total"] == 4
    for name in ("batch_1", "batch_2"):
        server.batches.end(name)
    fetch(engine, run_id)
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}


def test_a_refused_batch_says_why_and_leaves_its_features_to_ask(engine, server, run_id):
    submit(engine, run_id)
    server.batches.made["batch_0"] |= {"status": "failed", "errors": {"object": "list", "data": [
        {"code": "invalid", "message": "Line 3 is too long."}]}}
    states, _report = fetch(engine, run_id)
    assert (states[0].state, states[0].message) == ("failed", "Line 3 is too long.")
    assert resume(engine, run_id) == LABELABLE
    assert submit(engine, run_id) == 1


def test_a_refused_key_and_a_server_without_batches_are_told(engine, server, run_id):
    server.api_key = "right"
    with pytest.raises(MistudioError, match="refuses the API key"):
        submit(engine, run_id, api_key="wrong")
    assert run_of(engine, run_id).state == "interrupted"
    resume(engine, run_id)
    assert submit(engine, run_id, api_key="right") == 1
    with pytest.raises(MistudioError, match="refuses the API key"):
        fetch(engine, run_id, api_key="wrong")
    server.batches.made.clear()
    with pytest.raises(MistudioError, match="takes no batches") as error:
        fetch(engine, run_id, api_key="right")
    assert "--batch-out" in error.value.hint


def test_a_run_without_batches_has_none_to_fetch(engine, run_id):
    with pytest.raises(MistudioError, match="no batches"):
        fetch(engine, run_id)
