"""A run whose process is killed again and again: each feature is labeled once, and only calls in flight are lost."""

import multiprocessing
import os
import random
import signal
import threading
from datetime import timedelta

from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.run.loop import resume
from mistudio.store import Run, open_store, runs, session
from mistudio.store.features import list_features
from mistudio.store.tables import now
from tests.label.helpers import EVERYTHING, config_for, counts, labels_a_feature
from tests.servers.faults import Faults
from tests.servers.openai_server import OpenAIServer
from tests.toy import add_toy_extraction

FEATURES, KILLS, WIDTH = 300, 20, 8


def work_it(url, run_id):
    work_run(open_store(url), run_id)


def test_killed_twenty_times_each_feature_is_labeled_once_and_only_calls_in_flight_are_lost(engine, database_url):
    toy = add_toy_extraction(engine, features=FEATURES + 1)
    # Each worker is forked from a process that has read the program already, and has no threads of this one.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.faults.test_run_killed", "mistudio.label.providers.openai"])
    throw = random.Random(5)
    with OpenAIServer(latency=0.02) as server:
        server.answer = faults = Faults(share=0.0)
        run_id = start_run(engine, toy, config_for(server, concurrency=WIDTH, negatives=0), EVERYTHING)
        for kill in range(1, KILLS + 1):
            worker = processes.Process(target=work_it, args=(database_url, run_id))
            worker.start()
            # However long this machine takes over the kill, no more than so many are answered before it.
            server.gate, server.free = threading.Event(), len(server.requests) + throw.randint(1, 14)
            server.wait_for_requests(server.free, timeout=60)
            threading.Event().wait(throw.uniform(0, 0.05))
            os.kill(worker.pid, signal.SIGKILL)
            worker.join(20)
            assert worker.exitcode == -signal.SIGKILL, "it had not ended by itself"
            server.gate.set()
            with session(engine) as work:  # half a minute passes
                run = work.get(Run, run_id)
                run.heartbeat = now() - timedelta(seconds=31)
                work.add(run)
            with session(engine) as work:
                assert runs.get_run(work, run_id).state == "interrupted"
            left = counts(engine, run_id)
            assert resume(engine, run_id) == left["queued"] == FEATURES - left["done"]
            assert len(server.requests) - left["done"] <= kill * WIDTH
        assert work_run(engine, run_id) == "done"
        answered = {call.label: call.prompt for call in faults.calls}
        assert len(server.requests) - FEATURES <= KILLS * WIDTH
    assert counts(engine, run_id) == {"queued": 0, "done": FEATURES, "failed": 0, "skipped": 1}
    assert labels_a_feature(engine) == [1] * FEATURES
    with session(engine) as work:
        named = [label.text for _feature, label in list_features(work, toy, limit=None) if label]
    assert len({answered[text] for text in named}) == FEATURES, "each has an answer to its own question"
