"""What goes wrong in a run: nothing is lost, nothing is done twice, and a failure is never a label."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from mistudio.errors import StoreError
from mistudio.jobs import background
from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.run.loop import resume
from mistudio.store import Run, items, runs, session
from mistudio.store.features import FeatureFilter
from mistudio.store.tables import now
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_a_feature, labels_of, run_all
from tests.servers.base import Failure, Reply


@pytest.mark.parametrize(("reply", "kind"), [
    ("", "empty"), ("It is about brackets.", "prose"), ('{"label": "clos', "truncated"),
    ('{"name": "x"}', "wrong schema"), (Reply('{"label"', "length"), "truncated"),
    ("I'm sorry, I can't help.", "refusal"), (Failure(400, "bad"), "request"), ("<think>hm", "truncated")])
def test_each_bad_reply_is_a_failed_item_with_its_reason_and_never_a_label(engine, toy, server, reply, kind):
    server.answer = lambda _messages: reply
    run_id, state = run_all(engine, toy, config_for(server), FeatureFilter(indices=(2, 3)))
    assert state == "done"
    assert labels_of(engine, toy) == [None] * 12
    with session(engine) as work:
        (found, reason, count), = items.failures_by_reason(work, run_id)
        failed = items.failed_items(work, run_id)
        assert runs.get_run(work, run_id).completion_tokens > 0 or kind == "request"
    assert (found, count) == (kind, 2)
    assert reason
    assert [index for index, _item in failed] == [2, 3]
    text = reply.text if isinstance(reply, Reply) else reply
    assert all(item.reply == (text if isinstance(text, str) else "") for _index, item in failed)


def test_html_and_nul_in_a_reply_are_stored_as_they_can_be(engine, toy, server):
    server.answer = lambda _messages: json.dumps({"label": "<script>alert(1)</script> tags", "explanation": "a\x00b"})
    run_all(engine, toy, config_for(server), FeatureFilter(indices=(5,)))
    assert labels_of(engine, toy)[5] == "<script>alert(1)</script> tags"


def test_retry_failed_labels_only_what_failed(engine, toy, server):
    server.replies.extend(["no"] * 2)
    run_id, _state = run_all(engine, toy, config_for(server, concurrency=1))
    assert counts(engine, run_id)["failed"] == 1
    asked = len(server.requests)
    assert resume(engine, run_id, failed_too=True) == 1
    assert work_run(engine, run_id) == "done"
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}
    assert len(server.requests) == asked + 1
    assert labels_a_feature(engine) == [1] * LABELABLE


def test_a_provider_that_cannot_go_on_stops_the_run_and_resuming_finishes_it(engine, toy, server):
    server.api_key = "right"
    config = config_for(server)
    run_id = start_run(engine, toy, config, EVERYTHING)
    assert work_run(engine, run_id, api_key="wrong") == "failed"
    assert counts(engine, run_id)["queued"] == LABELABLE
    with session(engine) as work:
        assert "refuses the API key" in runs.get_run(work, run_id).message
    assert resume(engine, run_id) == LABELABLE
    assert work_run(engine, run_id, api_key="right") == "done"
    assert labels_a_feature(engine) == [1] * LABELABLE
    with session(engine) as work:
        assert "right" not in json.dumps(runs.get_run(work, run_id).config)


@pytest.mark.parametrize(("options", "said"), [
    ({"provider": "ollama", "base_url": "nowhere"}, "ollama serve"), ({"model": "gpt-9"}, "no model"),
    ({"base_url": None}, "OPENAI_API_KEY")])
def test_a_background_run_that_cannot_start_says_why(engine, toy, server, options, said):
    if options.get("base_url") == "nowhere":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            options = options | {"base_url": f"http://127.0.0.1:{probe.getsockname()[1]}"}
    run_id = start_run(engine, toy, config_for(server, **options), EVERYTHING)
    background.launch(engine, run_id).join(30)
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    assert run.state == "failed"
    assert said in run.message
    assert counts(engine, run_id)["queued"] == LABELABLE


def test_cancel_keeps_what_was_in_flight_and_resuming_finishes(engine, toy, server):
    server.gate = threading.Event()
    run_id = start_run(engine, toy, config_for(server, concurrency=2), EVERYTHING)
    worker = background.launch(engine, run_id)
    assert background.launch(engine, run_id) is worker
    server.wait_for_requests(2)
    assert run_id in background.active_run_ids()
    with session(engine) as work:
        runs.request_stop(work, run_id, "cancel")
    threading.Timer(1.2, server.gate.set).start()
    worker.join(20)
    assert counts(engine, run_id)["done"] == 2
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == "cancelled"
    assert resume(engine, run_id) == LABELABLE - 2
    background.launch(engine, run_id).join(20)
    assert labels_a_feature(engine) == [1] * LABELABLE
    assert run_id not in background.active_run_ids()


def test_two_workers_never_do_one_run_twice(engine, toy, server):
    config = config_for(server)
    run_id = start_run(engine, toy, config, EVERYTHING)
    start, outcomes = threading.Barrier(2), []

    def work_it():
        start.wait()
        try:
            outcomes.append(work_run(engine, run_id))
        except StoreError:
            outcomes.append("refused")

    workers = [threading.Thread(target=work_it) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(outcomes) == ["done", "refused"]
    assert len(server.requests) == LABELABLE
    assert labels_a_feature(engine) == [1] * LABELABLE


def test_killed_in_the_middle_and_resumed_each_feature_is_labeled_once(engine, toy, server, database_url):
    config = config_for(server, concurrency=2)
    run_id = start_run(engine, toy, config, EVERYTHING)
    hold, normal = threading.Event(), server.answer

    def answer(messages):
        if len(server.requests) > 5:
            hold.wait(60)
        return normal(messages)

    server.answer = answer
    code = ("import sys; from mistudio.store import open_store; from mistudio.jobs.background import launch; "
            "launch(open_store(sys.argv[1]), int(sys.argv[2])).join()")
    worker = subprocess.Popen([sys.executable, "-c", code, database_url, str(run_id)], env=os.environ)
    server.wait_for_requests(6, timeout=60)
    worker.send_signal(signal.SIGKILL)
    worker.wait(20)
    hold.set()
    before = counts(engine, run_id)
    assert before["done"] + before["queued"] == LABELABLE
    assert before["queued"] >= 2
    with pytest.raises(StoreError):
        resume(engine, run_id)
    with session(engine) as work:  # half a minute passes
        run = work.get(Run, run_id)
        run.heartbeat = now() - timedelta(seconds=31)
        work.add(run)
    with session(engine) as work:
        assert runs.list_runs(work)[0].state == "interrupted"
    assert resume(engine, run_id) == before["queued"]
    assert work_run(engine, run_id) == "done"
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}
    assert labels_a_feature(engine) == [1] * LABELABLE
