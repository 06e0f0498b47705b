"""A real extraction of the demo's model and SAE: made once, copied for each story."""

import os
import shutil
from pathlib import Path

import pytest

from mistudio.demo.setup import run_demo
from mistudio.store import open_store
from tests.browser import CHROMIUM, PROJECT

TOKENS = 40_000


@pytest.fixture(scope="session")
def demo_extraction(tmp_path_factory, demo_model_folder) -> Path:
    """An SQLite file with the demo's extraction and not one label."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (on Debian: apt-get install chromium)")
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    engine = open_store(f"sqlite:///{path}")
    run_demo(engine, tokens=TOKENS, label=0)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture
def story_url(tmp_path, demo_extraction) -> str:
    """A database of the story's own."""
    return f"sqlite:///{shutil.copy(demo_extraction, tmp_path / 'story.db')}"


@pytest.fixture
def pictures(request) -> Path:
    """The folder for this story's screenshots."""
    folder = PROJECT / "screenshots" / request.node.name.removeprefix("test_")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder
