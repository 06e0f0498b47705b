"""A toy extraction with enough windows to score on, and a server that labels and judges."""

import pytest

from tests.servers.openai_server import OpenAIServer
from tests.toy import add_toy_extraction


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def toy(engine):
    """The id of a toy extraction with 90 reference windows."""
    return add_toy_extraction(engine, references=90)
