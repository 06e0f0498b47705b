"""A backup is of one moment although others write, whole and checked, and replaces nothing unasked."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from mistudio.store import open_store, session
from mistudio.store.features import list_features
from tests.conftest import POSTGRESQL
from tests.servers.openai_server import OpenAIServer
from tests.shell import as_json, shell, start, use
from tests.toy import add_toy_extraction

FEATURES = 400


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'live.db'}"


def value(file, query):
    with closing(sqlite3.connect(file)) as copy:
        return copy.execute(query).fetchone()[0]


def test_backups_while_a_run_writes_are_each_of_one_moment(url, tmp_path):
    engine = open_store(url)
    toy = add_toy_extraction(engine, features=FEATURES)
    with OpenAIServer(latency=0.01) as server:
        running = start("label", "--db", url, *use(server), "--concurrency", 4, "--features", "all")
        done = []
        for number in range(4):
            server.wait_for_requests(len(server.requests) + 20, timeout=120)
            file = tmp_path / f"{number}.db"
            told = as_json("backup", file, "--db", url)
            assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("[0-9].db-*")), "one file, and it is whole"
            assert value(file, "PRAGMA integrity_check") == "ok" and value(file, "PRAGMA journal_mode") == "delete"
            labels = value(file, "SELECT count(*) FROM label")
            # What one transaction writes is all there, or nothing of it.
            assert told["rows"]["label"] == labels
            assert labels == value(file, "SELECT count(*) FROM runitem WHERE state = 'done'")
            assert labels == value(file, "SELECT count(*) FROM feature WHERE label_id IS NOT NULL")
            assert labels == value(file, "SELECT count(*) FROM label_fts")
            done.append(labels)
        assert running.poll() is None, "the run went on all the time"
        _out, err = running.communicate(timeout=240)
        assert running.returncode == 0, err
    assert done == sorted(done) and 0 < done[0] < done[-1] < FEATURES - 1
    restored = open_store(f"sqlite:///{tmp_path / '3.db'}")
    with session(restored) as work:
        named = [label for _feature, label in list_features(work, toy, limit=None) if label]
    assert len(named) == done[-1]
    restored.dispose()
    engine.dispose()


def test_a_file_that_is_there_stays_unless_told(url, tmp_path):
    engine = open_store(url)
    add_toy_extraction(engine)
    engine.dispose()
    file = tmp_path / "copy.db"
    file.write_text("mine")
    _out, err = shell("backup", file, "--db", url, status=1)
    assert "is there already" in err and "--overwrite" in err and file.read_text() == "mine"
    out, _err = shell("backup", file, "--db", url, "--overwrite")
    assert "1 extractions, 12 features" in out and "adapters" in out
    assert value(file, "SELECT count(*) FROM feature") == 12
    _out, err = shell("backup", tmp_path / "live.db", "--db", url, "--overwrite", status=1)
    assert "is the database itself" in err


def test_a_backup_that_cannot_be_written_or_read_is_a_message(url, tmp_path):
    open_store(url).dispose()
    _out, err = shell("backup", "/proc/none/copy.db", "--db", url, status=1)
    assert "could not be written" in err and "Traceback" not in err
    _out, err = shell("backup", tmp_path / "copy.db", "--db", f"sqlite:///{tmp_path / 'typo.db'}", status=1)
    assert "There is no file" in err and not (tmp_path / "typo.db").exists()


def test_a_damaged_database_gives_no_backup_and_stays_as_it_is(url, tmp_path):
    engine = open_store(url)
    add_toy_extraction(engine, features=100)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    live, size = tmp_path / "live.db", 4096
    data = bytearray(live.read_bytes())
    for page in range(len(data) // size // 2, len(data) // size):
        data[page * size:page * size + 64] = b"\xa5" * 64
    live.write_bytes(data)
    before = hashlib.sha256(live.read_bytes()).digest()
    _out, err = shell("backup", tmp_path / "copy.db", "--db", url, status=1)
    assert "damaged" in err and ".recover" in err
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["live.db"]
    assert hashlib.sha256(live.read_bytes()).digest() == before


@pytest.mark.skipif(POSTGRESQL is None, reason="no PostgreSQL server is named in TEST_POSTGRESQL_URL")
def test_a_server_has_a_tool_of_its_own(tmp_path):
    _out, err = shell("backup", tmp_path / "copy.db", "--db", POSTGRESQL, status=1)
    assert "pg_dump" in err and "mistudio copy" in err and not list(tmp_path.iterdir())
