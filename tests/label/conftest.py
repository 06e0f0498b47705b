"""The server that the tests of runs ask."""

import pytest

from tests.servers.openai_server import OpenAIServer


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server
