"""A database moves between SQLite and PostgreSQL and back without loss, or not at all."""

import os
import signal
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlmodel import func, select

from mistudio.search.query import search
from mistudio.store import Label, Run, Score, open_store, session
from mistudio.store.copying import TABLES
from mistudio.store.counts import state_counts
from mistudio.store.features import FeatureFilter, count_features, get_feature
from mistudio.store.labels import add_label, edit_label, judge_label
from mistudio.store.scores import add_score
from mistudio.store.tables import FeatureNearest, LabelVector, ReferenceVectors, RunItem, Vocabulary, now
from tests.conftest import POSTGRESQL, postgresql
from tests.shell import as_json, shell, start
from tests.toy import add_toy_extraction


@pytest.fixture
def filled(engine, toy):
    """Two extractions, with rows in every table."""
    add_toy_extraction(engine, features=30, seed=1)
    with session(engine) as work:
        run = Run(extraction_id=toy, state="done", config={"provider": "openai", "note": "naïve 🙂"}, cost=0.25,
                  started_at=now() - timedelta(hours=5), finished_at=now())
        work.add(run)
        work.flush()
        for index in range(8):
            feature = get_feature(work, toy, index)[0]
            label = Label(feature_id=feature.id, text=f"Étiquette {index}", explanation="closing brackets",
                          origin="llm", run_id=run.id, evidence={"ids": [1, 2.5, None]}, reply='{"label": "…"}',
                          cost=0.1 + 0.2)
            add_label(work, label)
            work.add(RunItem(run_id=run.id, feature_id=feature.id, state="done", label_id=label.id))
            add_score(work, Score(label_id=label.id, method="detection", judge="j", value=0.1 * index, n=40,
                                  recalls={"decile": [[1, 2]]}, misjudged=[[3, "x"]]), label)
            work.add(LabelVector(label_id=label.id, encoder="tests", vector=bytes(range(256))))
            work.add(FeatureNearest(feature_id=feature.id, blob=b"\0\1\2"))
        judge_label(work, label.id, "rejected", author="ann")
        edit_label(work, feature.id, "her own words", author="ann")
        work.add(ReferenceVectors(extraction_id=toy, split="test", key="k", numbers=b"\0\0\0\1", vectors=b"\xff" * 8))
    return engine


def rows_of(engine):
    with engine.connect() as connection:
        return {table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in TABLES}


def assert_alive(engine, toy):
    """What hangs on more than the rows themselves: words, counts and numbers."""
    assert search(engine, toy, "her own words", meaning=False)[0].label == "her own words"
    with session(engine) as work:
        assert count_features(work, toy, FeatureFilter(text="brackets")) == 7
        before = {(row.state, row.label_state): row.features for row in state_counts(work, toy)}
        last = work.exec(select(func.max(Label.id))).one()
        new = Label(feature_id=get_feature(work, toy, 9)[0].id, text="new", origin="llm")
        add_label(work, new)
        assert new.id == last + 1
        after = {(row.state, row.label_state): row.features for row in state_counts(work, toy)}
        assert after["live", "unreviewed"] == before["live", "unreviewed"] + 1
    assert add_toy_extraction(engine) == 3


@contextmanager
def empty(kind, folder):
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'new' / 'copy.db'}"
    elif POSTGRESQL is None:
        pytest.skip("no PostgreSQL server is named in TEST_POSTGRESQL_URL")
    else:
        with contextmanager(postgresql)(None, "template1") as url:
            yield url


def other_than(url):
    return "postgresql" if url.startswith("sqlite") else "sqlite"


def opened_rows(url):
    engine = open_store(url)
    rows = rows_of(engine)
    engine.dispose()
    return rows


def test_a_round_trip_between_both_kinds_brings_back_every_row(filled, toy, database_url, tmp_path):
    before = rows_of(filled)
    assert all(before.values()), "every table has rows"
    there = other_than(database_url)
    with empty(there, tmp_path) as middle, empty(other_than(middle), tmp_path) as back:
        told = as_json("copy", "--from", database_url, "--to", middle)
        assert told == {"rows": {name: len(rows) for name, rows in before.items()}, "replaced": 0}
        out, _err = shell("copy", "--from", middle, "--to", back)
        assert f"{sum(map(len, before.values()))} rows copied and compared" in out and "2 extractions" in out
        assert "not copied" in out and "adapters" in out
        for url in (middle, back):
            assert opened_rows(url) == before
            engine = open_store(url)
            assert_alive(engine, toy)
            engine.dispose()
    assert rows_of(filled) == before


def test_what_is_not_empty_is_refused_and_left_alone(filled, database_url, tmp_path):
    before = rows_of(filled)
    with empty(other_than(database_url), tmp_path) as other:
        engine = open_store(other)
        with session(engine) as work:
            work.add(Vocabulary(hash="mine", tokens=b"1"))
        engine.dispose()
        mine = opened_rows(other)
        for source, target in ((database_url, other), (database_url, database_url)):
            _out, err = shell("copy", "--from", source, "--to", target, status=1)
            assert "is not empty" in err and "Nothing was copied" in err and ":test@" not in err
        assert opened_rows(other) == mine and rows_of(filled) == before


def test_a_source_that_is_not_there_is_not_made(tmp_path):
    _out, err = shell("copy", "--from", f"sqlite:///{tmp_path / 'typo.db'}", "--to", "sqlite://", status=1)
    assert f"There is no file {tmp_path / 'typo.db'}" in err and not list(tmp_path.iterdir())


def test_a_copy_that_is_killed_leaves_an_empty_database_that_can_be_filled(engine, database_url, tmp_path):
    add_toy_extraction(engine, features=3000)
    before = rows_of(engine)
    with empty(other_than(database_url), tmp_path) as target:
        copying = start("copy", "--from", database_url, "--to", target)
        for line in copying.stderr:
            if line.startswith("Copying referencewindow"):
                break
        os.kill(copying.pid, signal.SIGKILL)
        assert copying.wait(30) == -signal.SIGKILL
        assert not any(opened_rows(target).values())
        shell("copy", "--from", database_url, "--to", target)
        assert opened_rows(target) == before


def test_what_postgresql_cannot_hold_is_replaced_and_told(tmp_path):
    """A new database never takes it; one of before may have it."""
    source = f"sqlite:///{tmp_path / 'old.db'}"
    engine = open_store(source)
    toy = add_toy_extraction(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE feature SET note = ?, top_tokens = ? WHERE \"index\" = 2",
                                   ("a\0b", r'[["\u0000x", 3, 1.0], ["\ud800", 2, 1.0], ["\ud83d\ude42", 1, 1.0]]'))
    engine.dispose()
    with empty("postgresql", tmp_path) as target:
        out, _err = shell("copy", "--from", source, "--to", target)
        assert "1 rows held NUL characters" in out
        engine = open_store(target)
        with session(engine) as work:
            feature = get_feature(work, toy, 2)[0]
        assert feature.note == "a\ufffdb"
        assert [row[0] for row in feature.top_tokens] == ["\ufffdx", "?", "🙂"]
        engine.dispose()


def test_a_token_of_nul_is_stored_and_searched(engine, toy):
    with session(engine) as work:
        feature = get_feature(work, toy, 2)[0]
        feature.top_tokens = [["\0", 3, 1.0], ["half \ud800", 2, 1.0], [" needle", 2, 1.0]]
        work.add(feature)
        work.flush()
        add_label(work, Label(feature_id=feature.id, text="zeros", origin="llm"))
    assert [hit.index for hit in search(engine, toy, "needle", meaning=False)] == [2]
    with session(engine) as work:
        assert get_feature(work, toy, 2)[0].top_tokens[0][0] == "\ufffd"
