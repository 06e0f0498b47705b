"""The loop: paging, pausing and stopping while calls hang, and a server that limits the rate."""

import threading
import time
from datetime import timedelta

import pytest

from mistudio.jobs import background
from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.run import loop
from mistudio.run.config import RunConfig
from mistudio.store import Label, Run, items, plans, runs, session
from mistudio.store.features import FeatureFilter
from mistudio.store.items import Outcome
from mistudio.store.tables import RunItem, now
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_a_feature
from tests.servers.base import Failure
from tests.toy import add_toy_extraction


class Counting:
    """A job that only counts: which features it was given, in order. ``also`` is called with each."""

    config, concurrency, replace_human = RunConfig(provider="none"), 16, False

    def __init__(self, also=lambda index: None):
        self.seen, self.also, self.lock = [], also, threading.Lock()

    def rate_limits(self):
        return 0

    def prepare(self, items):
        return [item.index for item in items]

    def ask(self, index):
        with self.lock:
            self.seen.append(index)
            self.also(index)
        return Outcome()


def queue(engine, extraction_id):
    with session(engine) as work:
        planned = plans.plan_labels(extraction_id, FeatureFilter())
        return runs.create_run(work, extraction_id, {}, planned).id


def ask_to(engine, run_id, stop):
    with session(engine) as work:
        runs.request_stop(work, run_id, stop)


def test_a_long_queue_is_paged_through_once(engine):
    features = 2 * loop.PAGE + 1
    run_id = queue(engine, add_toy_extraction(engine, features=features + 1))
    job = Counting()
    assert loop.work(engine, run_id, job) == "done"
    assert sorted(job.seen) == list(range(features))
    assert counts(engine, run_id)["done"] == features


def test_what_is_queued_again_meanwhile_is_taken_up(engine, toy):
    run_id = queue(engine, toy)

    def queue_the_first_again(progress):
        if len(job.seen) == LABELABLE and progress.counts["done"] == LABELABLE:
            with session(engine) as work:
                item = work.get_one(RunItem, (run_id, first))
                item.state = "queued"
                work.add(item)

    with session(engine) as work:
        first = items.queued_items(work, run_id, limit=1)[0].feature_id
    job = Counting()
    assert loop.work(engine, run_id, job, queue_the_first_again) == "done"
    assert len(job.seen) == LABELABLE + 1 and job.seen[-1] == 0
    assert counts(engine, run_id)["queued"] == 0


def test_what_is_asked_next_is_prepared_while_calls_hang(engine, toy):
    prepared, asked, answered = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    class Hanging(Counting):
        concurrency = 2

        def prepare(self, items):
            prepared.release(len(items))
            return super().prepare(items)

        def ask(self, index):
            asked.release()
            answered.wait(20)
            return super().ask(index)

    run_id, job = queue(engine, toy), Hanging()
    worker = threading.Thread(target=loop.work, args=(engine, run_id, job))
    worker.start()
    for _item in range(2 * job.concurrency):
        assert prepared.acquire(timeout=20)
    for _item in range(job.concurrency):
        assert asked.acquire(timeout=20)
    assert not asked.acquire(timeout=0.1), "no more is asked than may be in flight"
    answered.set()
    worker.join(20)
    assert counts(engine, run_id)["done"] == LABELABLE


def test_an_outcome_that_cannot_be_stored_fails_alone(engine, toy):
    together = threading.Barrier(LABELABLE)

    class Naming(Counting):
        def prepare(self, items):
            return items

        def ask(self, item):
            together.wait(20)
            label = Label(feature_id=item.feature_id, text="" if item.index == 2 else "a name", origin="llm")
            return Outcome(labels=[(label, [])], asked=True, prompt_tokens=7)

    run_id = queue(engine, toy)
    assert loop.work(engine, run_id, Naming()) == "done"
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE - 1, "failed": 1, "skipped": 1}
    with session(engine) as work:
        [(index, failed)] = items.failed_items(work, run_id)
        assert (index, failed.reason_kind) == (2, "defect") and "A label cannot be empty" in failed.reason
        assert runs.get_run(work, run_id).prompt_tokens == 7 * LABELABLE


@pytest.mark.parametrize(("stop", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_stop_while_calls_hang_keeps_their_answers(engine, toy, server, stop, state):
    server.gate = threading.Event()
    run_id = start_run(engine, toy, config_for(server, negatives=0), EVERYTHING)
    worker = background.launch(engine, run_id)
    server.wait_for_requests(3)
    ask_to(engine, run_id, stop)
    server.gate.set()
    worker.join(20)
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == state
    done = counts(engine, run_id)["done"]
    assert done == len(server.requests) >= 3, "every answer is kept"
    assert loop.resume(engine, run_id) == LABELABLE - done
    assert work_run(engine, run_id) == "done"
    assert labels_a_feature(engine) == [1] * LABELABLE


@pytest.mark.parametrize("answer", ["hang", Failure(429, headers={"Retry-After": "100"})])
def test_cancel_takes_no_longer_than_one_call(engine, toy, server, answer):
    """The client would wait for ten times the timeout, or for minutes when it is told to come back later.

    A busy machine gets some seconds beside it.
    """
    if answer == "hang":
        server.gate = threading.Event()
    server.answer = lambda _messages: answer
    run_id = start_run(engine, toy, config_for(server, negatives=0, timeout=2), EVERYTHING)
    worker = background.launch(engine, run_id)
    server.wait_for_requests(3)
    asked = time.monotonic()
    ask_to(engine, run_id, "cancel")
    worker.join(20)
    assert time.monotonic() - asked < 2 + 2 * loop.LOOK_UP + 7
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == "cancelled"
    assert counts(engine, run_id)["queued"] == LABELABLE
    sent = len(server.requests)
    server.answer = type(server)().answer
    if server.gate:
        server.gate.set()
    assert loop.resume(engine, run_id) == LABELABLE
    assert work_run(engine, run_id) == "done"
    assert len(server.requests) == sent + LABELABLE, "the calls that were left send nothing more"


def test_a_server_that_limits_the_rate_gets_fewer_calls_and_answers_them_all(engine, server):
    most, features = 3, 90
    toy = add_toy_extraction(engine, features=features + 1)
    normal, refused = server.answer, []

    def answer(messages):
        refused.append(server.in_flight > most)
        return Failure(429, headers={"Retry-After": "0.05"}) if refused[-1] else normal(messages)

    server.answer, server.latency = answer, 0.1
    run_id = start_run(engine, toy, config_for(server, concurrency=32, negatives=0), EVERYTHING)
    assert work_run(engine, run_id) == "done"
    assert counts(engine, run_id) == {"queued": 0, "done": features, "failed": 0, "skipped": 1}
    assert labels_a_feature(engine) == [1] * features
    assert sum(refused[:60]) > sum(refused[-60:]), "it asks for fewer at a time than at first"


def test_a_lease_that_ran_out_is_taken_back_unless_somebody_else_came(engine, toy, server):
    server.gate, server.free = threading.Event(), 0
    run_id = start_run(engine, toy, config_for(server, negatives=0), EVERYTHING)
    worker = background.launch(engine, run_id)
    server.wait_for_requests(3)
    with session(engine) as work:
        run = work.get_one(Run, run_id)
        run.heartbeat = now() - timedelta(seconds=31)
        work.add(run)
        work.flush()
        assert runs.list_runs(work)[0].state == "interrupted"
    server.gate.set()
    worker.join(30)
    assert counts(engine, run_id)["done"] == LABELABLE == len(server.requests)


def test_a_worker_whose_run_was_taken_over_writes_nothing_more(engine, toy, server):
    server.gate = threading.Event()
    run_id = start_run(engine, toy, config_for(server, negatives=0), EVERYTHING)
    worker = background.launch(engine, run_id)
    server.wait_for_requests(3)
    with session(engine) as work:
        run = work.get_one(Run, run_id)
        run.owner = "somebody else"
        work.add(run)
    server.gate.set()
    worker.join(30)
    assert counts(engine, run_id)["done"] == 0
    with session(engine) as work:
        assert (runs.get_run(work, run_id).state, runs.get_run(work, run_id).owner) == ("running", "somebody else")
