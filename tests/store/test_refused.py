"""A database that cannot be used is refused with what to do about it, and left as it is."""

import hashlib
import sqlite3

import pytest
from sqlalchemy import text

from mistudio.errors import StoreError
from mistudio.settings import settings
from mistudio.store import open_store, session
from mistudio.store.features import list_features
from tests.pages import visit, words
from tests.shell import shell
from tests.toy import add_toy_extraction

PAGE = 4096


@pytest.fixture
def file(tmp_path):
    """A database in one file, of some hundred pages."""
    file = tmp_path / "mistudio.db"
    engine = open_store(f"sqlite:///{file}")
    add_toy_extraction(engine, features=300)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return file


def spoiled(file, how):
    data = bytearray(file.read_bytes())
    if how == "header":
        data[:100] = bytes(100)
    elif how == "cut off":
        data = data[:len(data) // 3 + 7]
    elif how == "schema":
        data[100:PAGE] = b"\xa5" * (PAGE - 100)
    elif how == "text":
        data = b"my notes, no database\n" * 500
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["header", "cut off", "schema", "text"])
def test_a_damaged_file_is_refused_with_the_way_out_and_left_as_it_is(file, how):
    spoiled(file, how)
    before = hashlib.sha256(file.read_bytes()).digest()
    _out, err = shell("features", "--db", f"sqlite:///{file}", status=1)
    assert "damaged" in err and "mistudio backup" in err and ".recover" in err
    assert hashlib.sha256(file.read_bytes()).digest() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_damage_that_shows_only_later_is_the_same_message_in_shell_and_page(file, monkeypatch):
    data = bytearray(file.read_bytes())
    for page in range(2, len(data) // PAGE):  # all but the schema
        if page * PAGE + 8 < len(data) and data[page * PAGE] in (0x0D, 0x05, 0x0A, 0x02):
            data[page * PAGE:page * PAGE + 200] = b"\xa5" * 200
    file.write_bytes(data)
    before = hashlib.sha256(file.read_bytes()).digest()
    _out, err = shell("features", "--db", f"sqlite:///{file}", status=1)
    assert "damaged" in err and "mistudio backup" in err
    monkeypatch.setenv("MISTUDIO_DATABASE_URL", f"sqlite:///{file}")
    settings.cache_clear()
    assert "damaged" in words(visit())
    settings.cache_clear()
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_a_newer_schema_is_refused_in_shell_and_page_and_left_as_it_is(engine, toy, database_url):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    _out, err = shell("features", status=1)
    shown = words(visit())
    for said in (err, shown):
        assert "has schema 9999" in said and "Upgrade mistudio" in said and ":test@" not in said
    with pytest.raises(StoreError, match="of a newer mistudio"):
        open_store(database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
        assert connection.execute(text("SELECT count(*) FROM feature")).scalar_one() == 12


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    file = tmp_path / "places.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE bookmarks (id INTEGER)")
    other.close()
    with pytest.raises(StoreError, match="another program's: it has the table 'bookmarks'"):
        open_store(f"sqlite:///{file}")
    other = sqlite3.connect(file)
    assert other.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
    other.close()


def test_an_empty_file_is_a_new_database(tmp_path):
    file = tmp_path / "new.db"
    file.touch()
    engine = open_store(f"sqlite:///{file}")
    assert add_toy_extraction(engine) == 1
    engine.dispose()


def test_what_can_only_be_read_is_read_and_what_would_write_is_a_message(file):
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    engine = open_store(url)
    with session(engine) as work:
        assert len(list_features(work, 1, limit=None)) == 300
    engine.dispose()
    _out, err = shell("rename", 1, "other", "--db", url, status=1)
    assert "can only be read" in err and "right to write" in err


def test_a_folder_that_cannot_be_made_is_a_message():
    _out, err = shell("features", "--db", "sqlite:////proc/none/x.db", status=1)
    assert "cannot be made" in err and "MISTUDIO_DATA_DIR" in err
