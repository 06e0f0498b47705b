"""A run that waits while its database is away, and what must have come of it in the end."""

import threading

import pytest

from mistudio.jobs.labeling import start_run
from mistudio.store import runs, session
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_a_feature
from tests.servers.openai_server import OpenAIServer

WIDTH = 3


class Watch:
    """What a run reports: it has said a trouble (``troubled``), and all it said."""

    def __init__(self):
        self.troubled, self.said = threading.Event(), []

    def __call__(self, progress):
        self.said.append(progress.trouble)
        if progress.trouble:
            self.troubled.set()


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def run_id(engine, toy, server):
    return start_run(engine, toy, config_for(server, concurrency=WIDTH, negatives=0), EVERYTHING)


def assert_all_labeled_and_nothing_asked_twice(engine, server, run_id):
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}
    assert labels_a_feature(engine) == [1] * LABELABLE
    assert len(server.requests) == LABELABLE
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    assert (run.state, run.message, run.owner) == ("done", "", "")
