"""The small extraction and the waiting run that most tests here use."""

from tests.extract.outcome import config  # noqa: F401
from tests.faults.waiting import run_id, server  # noqa: F401
