"""What every test shares: a real temporary database each, and no settings of the person running them."""

import os
import uuid

import psycopg
import pytest
from sqlalchemy import make_url

from mistudio.errors import ModelError
from mistudio.settings import settings
from mistudio.store import open_store
from tests.browser import browser  # noqa: F401  (one for all: two cannot run in one process)
from tests.toy import add_toy_extraction

for _name in [name for name in os.environ if name.startswith(("MISTUDIO_", "OPENAI_", "OLLAMA_"))]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")


# Where the core meets the database, every test runs on both kinds.
ON_BOTH = ("batch", "store", "label", "run", "score", "search", "exchange")
POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL")


def pytest_generate_tests(metafunc):
    if "database_url" in metafunc.fixturenames:
        both = metafunc.definition.path.parent.name in ON_BOTH
        metafunc.parametrize("database_url", ("sqlite", "postgresql") if both else ("sqlite",), indirect=True)


@pytest.fixture
def database_url(request, tmp_path, monkeypatch):
    """A fresh database, also the one that pages and shell use by default."""
    make = _sqlite if request.param == "sqlite" else _postgresql
    for url in make(tmp_path):
        monkeypatch.setenv("MISTUDIO_DATABASE_URL", url)
        settings.cache_clear()
        yield url
    settings.cache_clear()


def _sqlite(folder):
    yield f"sqlite:///{folder / 'test.db'}"


def _postgresql(_folder):
    if POSTGRESQL is None:
        pytest.skip("no PostgreSQL server is named in TEST_POSTGRESQL_URL")
    name = f"mistudio_test_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
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
