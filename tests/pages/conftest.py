"""What tests of the Label and Review pages share."""

import pytest

from tests.servers.openai_server import OpenAIServer


@pytest.fixture
def server():
    with OpenAIServer(api_key="sk-right") as running:
        yield running
