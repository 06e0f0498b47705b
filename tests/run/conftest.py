"""The server that the tests of runs ask."""

from tests.label.conftest import server  # noqa: F401
