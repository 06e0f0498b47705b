"""A database that cannot be written for a while: the run says so, waits, and goes on; no answer is lost."""

import subprocess
import sys
import threading

import pytest
from sqlalchemy import event

from mistudio.jobs import background
from mistudio.jobs.work import work_run
from mistudio.store import Feature, Label, items, runs, session
from mistudio.store.items import Outcome
from mistudio.store.labels import add_label, history
from tests.faults.waiting import WIDTH, Watch, assert_all_labeled_and_nothing_asked_twice
from tests.label.helpers import counts

# Another program: it holds the write lock until it is told to let go. What it leaves is what any program leaves that
# lists the runs half a minute after this one's last sign of life.
HOLDS_THE_LOCK = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
other.execute("UPDATE run SET state = 'interrupted', owner = '', stop = ''")
other.execute("COMMIT")
"""


def test_while_another_program_locks_the_database_the_run_waits_and_takes_its_lease_back(engine, server, run_id):
    server.gate, server.free = threading.Event(), 2
    watch = Watch()
    worker = threading.Thread(target=work_run, args=(engine, run_id), kwargs={"on_progress": watch})
    worker.start()
    server.wait_for_requests(2 + WIDTH)
    other = subprocess.Popen([sys.executable, "-c", HOLDS_THE_LOCK, engine.url.database], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "locked\n"
    server.gate.set()
    assert watch.troubled.wait(30)
    assert len(server.requests) == 2 + WIDTH, "nothing more is asked than answers can wait for"
    assert "The run waits. The database is busy" in next(filter(None, watch.said))
    other.communicate("go\n", timeout=20)
    worker.join(60)
    assert watch.said[-1] == ""
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_a_run_that_finds_the_database_locked_begins_later(engine, server, run_id):
    other = subprocess.Popen([sys.executable, "-c", HOLDS_THE_LOCK, engine.url.database], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "locked\n"
    watch = Watch()
    worker = threading.Thread(target=work_run, args=(engine, run_id), kwargs={"on_progress": watch})
    worker.start()
    assert watch.troubled.wait(30)
    other.communicate("go\n", timeout=20)
    worker.join(60)
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_while_the_disk_is_full_the_run_waits_and_goes_on_afterwards(engine, server, run_id):
    pages = [1]  # SQLite takes it for the size that the file has now

    def limit(connection, _record, _proxy):
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(engine, "checkout", limit)
    padded = server.answer
    server.answer = lambda messages: padded(messages) + " " * 9000  # room for a few is left in the last pages
    worker = background.launch(engine, run_id)
    while not background.trouble(engine, run_id):
        assert worker.is_alive(), "the disk was never full"
        worker.join(0.1)
    assert "disk is full" in background.trouble(engine, run_id)
    closed = counts(engine, run_id)["done"]
    assert len(server.requests) <= closed + WIDTH, "nothing more is asked than answers can wait for"
    pages[0] = 1_000_000
    worker.join(60)
    assert background.trouble(engine, run_id) == ""
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_an_answer_whose_transaction_failed_is_stored_when_it_is_given_again(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        first, second = (item.feature_id for item in items.queued_items(work, run_id, limit=2))
    outcome = Outcome(labels=[(Label(feature_id=first, text="answer", origin="llm"), [])])
    with pytest.raises(ZeroDivisionError), session(engine) as work:
        assert items.finish_items(work, run_id, "a", {first: outcome})[1]
        raise ZeroDivisionError
    with session(engine) as work:  # somebody gets the number that the label had
        add_label(work, Label(feature_id=second, text="written meanwhile", origin="human"))
    with session(engine) as work:
        assert items.finish_items(work, run_id, "a", {first: outcome}) == ("", {first: "done"})
    with session(engine) as work:
        assert [label.text for label in history(work, first)] == ["answer"]
        assert [label.text for label in history(work, second)] == ["written meanwhile"]
        assert work.get_one(Feature, first).label_id == history(work, first)[0].id
