"""What every test shares: a real temporary database each, and no settings of the person running them."""

import os

import pytest

from mistudio.errors import ModelError
from mistudio.settings import settings
from mistudio.store import open_store
from tests.toy import add_toy_extraction

for _name in [name for name in os.environ if name.startswith(("MISTUDIO_", "OPENAI_", "OLLAMA_"))]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture
def database_url(tmp_path, monkeypatch):
    """A fresh database, also the one that pages and shell use by default."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    monkeypatch.setenv("MISTUDIO_DATABASE_URL", url)
    settings.cache_clear()
    yield url
    settings.cache_clear()


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
