"""A PostgreSQL server that crashes, restarts or is away for a while, and two programs that work on one."""

import itertools
import threading

import pytest
from sqlalchemy import text

from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.settings import settings
from mistudio.store import open_store, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label
from mistudio.store.tables import Label
from tests.faults.cluster import Cluster, missing
from tests.faults.waiting import WIDTH, Watch, assert_all_labeled_and_nothing_asked_twice
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_a_feature
from tests.pages import visit, words
from tests.shell import shell, start
from tests.toy import add_toy_extraction

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def running():
    if missing():
        pytest.skip(missing())
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running):
    """The server, running again after a test that left it away."""
    yield running
    if not running.up:
        running.start()


@pytest.fixture
def engine(cluster, monkeypatch):
    url = cluster.new_database(f"test{next(NUMBERS)}")
    monkeypatch.setenv("MISTUDIO_DATABASE_URL", url)
    settings.cache_clear()
    engine = open_store(url)
    yield engine
    engine.dispose()
    settings.cache_clear()


@pytest.mark.parametrize("how", ["immediate", "fast"])
def test_a_run_waits_while_the_server_is_away_says_so_and_goes_on(cluster, engine, server, run_id, how):
    server.gate, server.free = threading.Event(), 2
    watch = Watch()
    worker = threading.Thread(target=work_run, args=(engine, run_id), kwargs={"on_progress": watch})
    worker.start()
    server.wait_for_requests(2 + WIDTH)
    cluster.stop(how)
    server.gate.set()
    assert watch.troubled.wait(60)
    assert len(server.requests) == 2 + WIDTH, "nothing more is asked than answers can wait for"
    assert "The run waits. The database cannot be reached." in next(filter(None, watch.said))
    cluster.start()
    worker.join(120)
    assert watch.said[-1] == ""
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_a_run_waits_while_another_program_writes_for_long(engine, toy, server, run_id):
    watch = Watch()
    with engine.connect() as other:
        other.execute(text("UPDATE feature SET starred = true"))
        worker = threading.Thread(target=work_run, args=(engine, run_id), kwargs={"on_progress": watch})
        worker.start()
        assert watch.troubled.wait(60)
        _out, err = shell("rename", toy, "another name")
        assert err == "", "what is not about features or labels goes on"
    worker.join(120)
    assert "The run waits. The database is busy" in next(filter(None, watch.said)) and watch.said[-1] == ""
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_connections_that_the_server_cut_are_made_anew(engine, server, run_id):
    server.gate, server.free = threading.Event(), 2
    worker = threading.Thread(target=work_run, args=(engine, run_id))
    worker.start()
    server.wait_for_requests(2 + WIDTH)
    other = open_store(engine.url.render_as_string(hide_password=False))
    with session(other) as work:
        cut = work.exec(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                             "WHERE datname = current_database() AND pid <> pg_backend_pid()")).all()
    other.dispose()
    assert cut
    server.gate.set()
    worker.join(120)
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_a_run_begins_when_the_server_is_back(cluster, engine, server, run_id):
    cluster.stop("fast")
    _out, err = shell("label", "--resume", run_id, status=1)
    assert "cannot be opened" in err and "cannot be reached" in err and "Check that the server runs" in err
    assert "Traceback" not in err and not server.requests
    cluster.start()
    out, _err = shell("label", "--resume", run_id)
    assert f"Run {run_id} done: {LABELABLE} labeled" in out
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


@pytest.mark.parametrize("page", ["", "browse", "label", "review", "search"])
def test_pages_say_that_the_server_is_away_and_are_there_again_with_it(cluster, engine, toy, page):
    with session(engine) as work:
        add_label(work, Label(feature_id=get_feature(work, toy, 0)[0].id, text="digits", origin="llm"))
    opened = visit(page, x=toy)
    assert not opened.error
    cluster.stop()
    opened.run()
    assert not opened.exception and "The database cannot be reached" in words(opened)
    fresh = visit(page, x=toy)
    assert "The database cannot be reached" in words(fresh)
    cluster.start()
    for back in (opened, fresh):
        back.run()
        assert not back.exception and not back.error and [title.value for title in back.title]


def test_of_two_programs_on_one_run_one_does_it_and_the_other_is_told(engine, toy, server, run_id):
    server.gate, server.free = threading.Event(), 1
    both = [start("label", "--resume", run_id) for _program in range(2)]
    server.wait_for_requests(WIDTH, timeout=120)
    loser, winner = _first_to_end(both)
    assert "is being worked on" in loser.stderr.read() and loser.returncode == 1
    server.gate.set()
    out, err = winner.communicate(timeout=120)
    assert winner.returncode == 0 and f"{LABELABLE} labeled" in out, out + err
    assert_all_labeled_and_nothing_asked_twice(engine, server, run_id)


def test_two_programs_each_with_a_run_of_its_own_get_along(engine, server):
    features = 60
    toy = add_toy_extraction(engine, features=features + 1)
    ids = [start_run(engine, toy, config_for(server, concurrency=8, negatives=0), EVERYTHING) for _run in range(2)]
    for program in [start("label", "--resume", run_id) for run_id in ids]:
        out, err = program.communicate(timeout=240)
        assert program.returncode == 0, out + err
    assert labels_a_feature(engine) == [2] * features
    assert len(server.requests) == 2 * features
    assert [counts(engine, run_id)["done"] for run_id in ids] == [features] * 2


def _first_to_end(programs):
    """The one that ends first, and the other."""
    ended = threading.Event()
    for program in programs:
        threading.Thread(target=lambda mine=program: (mine.wait(), ended.set()), daemon=True).start()
    assert ended.wait(120)
    return sorted(programs, key=lambda program: program.poll() is None)
