"""The small extraction that most tests here run."""

from tests.extract.outcome import config  # noqa: F401
