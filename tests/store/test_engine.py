"""The database opens, is brought up to date, takes many writers, and says what is wrong."""

import threading
from contextlib import ExitStack

import pytest
from sqlmodel import select

from mistudio.errors import StoreError
from mistudio.store import Extraction, Label, open_store, session
from mistudio.store.features import feature_ids
from mistudio.store.labels import add_label


def test_opening_again_keeps_what_is_there(engine, toy, database_url):
    again = open_store(database_url)
    with session(again) as work:
        assert work.exec(select(Extraction)).one().id == toy
    again.dispose()


@pytest.mark.parametrize("url", ["nonsense", "oracle://host/x", "postgresql://user:secret@127.0.0.1:1/none"])
def test_a_wrong_address_is_a_message_without_the_password(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_message_and_left_alone(tmp_path):
    file = tmp_path / "notes.db"
    file.write_text("my notes, no database" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(f"sqlite:///{file}")
    assert file.read_text().startswith("my notes")


def test_as_many_can_read_at_a_time_as_a_wide_run_has_threads(engine, toy):
    with ExitStack() as all_at_once:
        readers = [all_at_once.enter_context(session(engine)) for _ in range(40)]
        assert [reader.exec(select(Extraction.id)).one() for reader in readers] == [toy] * 40


def test_what_fails_half_way_leaves_nothing(engine, toy):
    with pytest.raises(ZeroDivisionError), session(engine) as work:
        work.add(Label(feature_id=feature_ids(work, toy)[0], text="half", origin="llm"))
        work.flush()
        raise ZeroDivisionError
    with session(engine) as work:
        assert work.exec(select(Label)).all() == []


def test_four_writers_and_three_readers_get_along(engine, toy):
    with session(engine) as work:
        features = feature_ids(work, toy)
    errors, stop = [], threading.Event()

    def guarded(job):
        try:
            job()
        except Exception as error:
            errors.append(error)

    def write(place):
        for number in range(15):
            with session(engine) as work:
                add_label(work, Label(feature_id=features[place], text=f"label {number}", origin="llm"))

    def read():
        while not stop.is_set():
            with session(engine) as work:
                work.exec(select(Label)).all()

    writers = [threading.Thread(target=guarded, args=(lambda place=place: write(place),)) for place in range(4)]
    readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(3)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join(60)
    stop.set()
    for thread in readers:
        thread.join(60)
    assert errors == []
    with session(engine) as work:
        assert len(work.exec(select(Label)).all()) == 60
