"""What is wrong with a database is told, and nothing in it is changed by looking."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, text

from mistudio.errors import StoreError
from mistudio.store.checking import look_at
from mistudio.store.engine import open_store
from mistudio.store.schema import MIGRATIONS


@pytest.fixture
def plain(database_url):
    """The database without anything of ours around it."""
    engine = create_engine(make_url(database_url).set(
        drivername="sqlite" if database_url.startswith("sqlite") else "postgresql+psycopg"))
    yield engine
    engine.dispose()


def emptied(plain, revision=None):
    """Nothing in it, or what an earlier version made."""
    if plain.dialect.name == "sqlite":
        Path(plain.url.database).unlink()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with plain.begin() as connection:
        if plain.dialect.name == "postgresql":
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        if revision:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def test_one_of_this_version_is_current(database_url):
    found = look_at(database_url)
    assert found.state == "current" and "schema" in found.text and "MB" in found.text
    assert ":test@" not in found.text  # no password


def test_an_earlier_version_is_told_and_not_upgraded(database_url, plain):
    emptied(plain, "0001")
    assert look_at(database_url).state == look_at(database_url).state == "old"
    assert "0001" in look_at(database_url).text


def test_an_empty_one_is_new_and_stays_empty(database_url, plain):
    emptied(plain)
    assert look_at(database_url).state == look_at(database_url).state == "new"


def test_a_newer_version_is_told(database_url, plain):
    with plain.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema 9999, of a newer mistudio") as caught:
        look_at(database_url)
    assert "Upgrade mistudio" in caught.value.hint


def test_tables_of_another_program_are_told(database_url, plain):
    with plain.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(StoreError, match="another program"):
        look_at(database_url)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        look_at("postgresql://somebody:secret@127.0.0.1:9/nothing")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    assert look_at(f"sqlite:///{tmp_path}/folder/new.db").state == "new"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_told(tmp_path):
    open_store(f"sqlite:///{tmp_path}/test.db").dispose()
    with (tmp_path / "test.db").open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096 * 20)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        look_at(f"sqlite:///{tmp_path}/test.db")


def test_a_file_of_another_kind_is_told(tmp_path):
    (tmp_path / "test.db").write_text("no database at all, " * 500)
    with pytest.raises(StoreError, match="not a database"):
        look_at(f"sqlite:///{tmp_path}/test.db")


def test_a_file_that_another_program_locks_is_told(tmp_path):
    engine = open_store(f"sqlite:///{tmp_path}/test.db")
    with engine.connect() as another:
        another.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="cannot be written: database is locked"):
            look_at(f"sqlite:///{tmp_path}/test.db")
        another.rollback()
    engine.dispose()
