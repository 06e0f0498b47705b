"""What every test shares: a real temporary database each, and no settings of the person running them."""

import os
import shutil
import uuid

import hypothesis
import psycopg
import pytest
from sqlalchemy import make_url

from mistudio.errors import ModelError
from mistudio.settings import settings
from mistudio.store import open_store
from tests.browser import browser  # noqa: F401  (one for all: two cannot run in one process)
from tests.toy import add_toy_extraction

for _name in [name for name in os.environ if name.startswith(("MISTUDIO_", "OPENAI_", "OLLAMA_", "PG"))]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# What is right but slow, on a machine that does other things too, is no failure.
hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")


# Where the core meets the database, every test runs on both kinds.
ON_BOTH = ("access", "batch", "store", "label", "run", "score", "search", "exchange", "hostile")
POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL")


def pytest_generate_tests(metafunc):
    if "database_url" in metafunc.fixturenames:
        both = metafunc.definition.path.parent.name in ON_BOTH
        metafunc.parametrize("database_url", ("sqlite", "postgresql") if both else ("sqlite",), indirect=True)


@pytest.fixture
def database_url(request, tmp_path, monkeypatch):
    """A fresh database, also the one that pages and shell use by default."""
    empty = request.getfixturevalue(f"empty_{request.param}")
    for url in (_sqlite if request.param == "sqlite" else postgresql)(tmp_path, empty):
        monkeypatch.setenv("MISTUDIO_DATABASE_URL", url)
        settings.cache_clear()
        yield url
    settings.cache_clear()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory):
    """The file of a database with the newest schema and nothing in it: to copy it is quicker than to upgrade anew."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    engine = open_store(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def empty_postgresql():
    """The name of such a database on the server."""
    if POSTGRESQL is None:
        pytest.skip("no PostgreSQL server is named in TEST_POSTGRESQL_URL")
    for url in postgresql(None, "template0"):
        open_store(url).dispose()
        yield make_url(url).database


def _sqlite(folder, empty):
    yield f"sqlite:///{shutil.copy(empty, folder / 'test.db')}"


def postgresql(_folder, empty):
    """The URL of a database of its own, made from this one, and dropped afterwards."""
    name = f"mistudio_test_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {empty}")
        try:
            yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url):
    engine = open_store(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def toy(engine):
    """The id of an extraction of 12 features with planted concepts (``tests.toy``)."""
    return add_toy_extraction(engine)


@pytest.fixture(scope="session")
def demo_model_folder():
    """The demo's real language model; what needs it is skipped, and says why, where it cannot be downloaded."""
    from mistudio.demo.fetch import demo_model

    try:
        return demo_model()
    except ModelError as error:
        if "could not be downloaded" in error.message:
            pytest.skip(f"No network: {error}")
        raise
