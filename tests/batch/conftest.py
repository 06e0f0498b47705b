"""A run whose requests are files, and somebody who answers them."""

import json
from pathlib import Path

import pytest

from mistudio.batch.requests import write_requests
from mistudio.batch.taking import take_files
from mistudio.jobs.labeling import start_run
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.score.config import ScoreConfig
from mistudio.store import runs, session
from mistudio.store.items import failures_by_reason
from tests.label.helpers import EVERYTHING, config_for, counts
from tests.servers.batch_api import answer
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def labeled(engine, server):
    """An extraction that scores can be drawn from, with labels."""
    extraction = add_toy_extraction(engine, references=120)
    work_run(engine, start_run(engine, extraction, config_for(server, negatives=0), EVERYTHING))
    return extraction


class Asking:
    """A waiting run: ``requests`` are its lines, ``responses`` the answers to them as dicts."""

    def __init__(self, engine, server, folder: Path, run_id: int):
        self.engine, self.folder, self.run_id = engine, folder, run_id
        (self.path,) = write_requests(engine, run_id, folder / f"requests{run_id}.jsonl")
        self.requests = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        self.responses = [answer(json.dumps(request), lambda body: server.post("/v1/chat/completions", {}, body)[:2])
                          for request in self.requests]

    def take(self, lines: list):
        """Take in lines: dicts, or bytes as they are."""
        path = self.folder / "responses.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        return take_files(self.engine, [path])

    @property
    def counts(self) -> dict:
        return counts(self.engine, self.run_id)

    @property
    def state(self) -> str:
        with session(self.engine) as work:
            return runs.get_run(work, self.run_id).state

    @property
    def failures(self) -> list:
        with session(self.engine) as work:
            return failures_by_reason(work, self.run_id)


@pytest.fixture
def asking(engine, toy, server, tmp_path):
    """A labeling run over everything."""
    return Asking(engine, server, tmp_path, start_run(engine, toy, config_for(server), EVERYTHING))


def judge_config(server, **options):
    usual = {"provider": "openai", "model": MODEL, "base_url": server.base_url, "active": 6, "silent": 6, "per_call": 6,
             "embedding": False}
    return ScoreConfig(**usual | options)


@pytest.fixture
def judging(engine, labeled, server, tmp_path):
    """A scoring run over all labels."""
    return Asking(engine, server, tmp_path, start_scores(engine, labeled, judge_config(server), EVERYTHING))
