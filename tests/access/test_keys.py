"""A key is in no byte that is stored, written or logged, also where the server repeats it."""

import json
import logging

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from mistudio.batch.remote import fetch, submit
from mistudio.batch.requests import write_requests
from mistudio.errors import MistudioError
from mistudio.exchange.labels import export_labels
from mistudio.exchange.neuronpedia_export import export_neuronpedia
from mistudio.jobs.background import launch
from mistudio.jobs.labeling import start_run
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.label.providers import list_models
from mistudio.score.config import ScoreConfig
from mistudio.settings import settings
from tests.label.helpers import EVERYTHING, config_for
from tests.servers.answers import plausible
from tests.servers.base import Failure
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.shell import shell, use
from tests.toy import add_toy_extraction

KEY = "sk-marker-8f41c07d5be2"


class Parrot(OpenAIServer):
    """Says the key wherever it can: in answers, in errors, in the names of models."""

    def __init__(self):
        super().__init__(models=[MODEL, f"model-of-{KEY}"])
        self.answer = self._answer

    def _answer(self, messages):
        number = len(self.requests)
        if messages[-1]["content"].startswith("Label: "):
            return plausible(messages)
        if number % 3 == 0:
            return Failure(400, f"Incorrect API key provided: {KEY}")
        if number % 3 == 1:
            return f"I was asked with {KEY}"
        return json.dumps(json.loads(plausible(messages)) | {"explanation": f"Found with {KEY}."})


@pytest.fixture
def server(monkeypatch, tmp_path):
    with Parrot() as running:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path / "data"))
        yield running


def test_a_key_is_nowhere_after_everything_was_done_with_it(engine, server, tmp_path, caplog, capfd,
                                                                   monkeypatch):
    settings.cache_clear()
    caplog.set_level(logging.DEBUG)
    shown = [repr(settings()), *list_models("openai")]
    extraction = add_toy_extraction(engine, references=120)
    config = config_for(server, negatives=0, concurrency=1)
    shown.append(work_run(engine, start_run(engine, extraction, config, EVERYTHING)))
    shown.append(work_run(engine, start_scores(engine, extraction, ScoreConfig(
        provider="openai", model=MODEL, base_url=server.base_url), EVERYTHING)))
    for ending in ("csv", "jsonl"):
        export_labels(engine, extraction, tmp_path / f"labels.{ending}")
    export_neuronpedia(engine, extraction, tmp_path / "neuronpedia")
    for command in (("label", "--features", 4, *use(server)), ("show", 4), ("show", 4, "--prompt"), ("features",),
                    ("runs",), ("extractions",), ("report",)):
        shown += shell(*command, "--json", OPENAI_API_KEY=KEY)
    write_requests(engine, start_run(engine, extraction, config, EVERYTHING), tmp_path / "requests.jsonl")
    sent = start_run(engine, extraction, config, EVERYTHING)
    submit(engine, sent)
    for name in list(server.batches.made):
        server.batches.end(name)
    shown.append(repr(fetch(engine, sent)))
    monkeypatch.delenv("OPENAI_API_KEY")
    settings.cache_clear()
    launch(engine, start_run(engine, extraction, config, EVERYTHING), KEY).join(60)  # as the page does with a typed one
    asked, server.answer = len(server.headers), plausible
    launch(engine, start_run(engine, extraction, config, EVERYTHING), None).join(60)
    assert {headers["Authorization"] for headers in server.headers[asked:]} == {"Bearer none"}, "the typed key is gone"
    asked = server.headers[:asked]
    server.api_key = "another"
    with pytest.raises(MistudioError) as refused:
        list_models("openai", api_key=KEY)
    shown.append(str(refused.value))
    with engine.connect() as connection:
        stored = [repr(row) for table in SQLModel.metadata.sorted_tables
                  for row in connection.execute(text(f'SELECT * FROM "{table.name}"'))]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = b"".join(files) + "\n".join([*shown, *stored, caplog.text, *capfd.readouterr()]).encode()
    assert all(f"Bearer {KEY}" == headers["Authorization"] for headers in asked), "it was used"
    assert b"[API key]" in everything, "and repeated"
    assert KEY.encode() not in everything
    print(f"{len(everything):,} bytes searched, {len(files)} files")
