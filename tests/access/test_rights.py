"""Whoever may only look around changes and spends nothing, whatever is called; who may not read, reads nothing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import inspect, text
from sqlmodel import SQLModel, select

from mistudio import access, background
from mistudio.access import NOBODY, Visitor, acting_as
from mistudio.batch.remote import submit
from mistudio.batch.requests import write_requests
from mistudio.demo.setup import run_demo
from mistudio.distill.config import DistillConfig
from mistudio.errors import AccessError, MistudioError, ProviderSetupError
from mistudio.exchange.imports import import_features
from mistudio.exchange.labels import export_labels, import_labels
from mistudio.exchange.neuronpedia_export import export_neuronpedia
from mistudio.extract.config import ExtractConfig
from mistudio.jobs import labeling
from mistudio.jobs.background import launch
from mistudio.jobs.deleting import delete
from mistudio.jobs.labeling import keep, label_one, start_run, try_one
from mistudio.jobs.proposing import propose
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.label import adapters
from mistudio.label.providers import make_provider
from mistudio.label.providers.addresses import PublicTransport
from mistudio.run import loop
from mistudio.score.config import ScoreConfig
from mistudio.search.query import search
from mistudio.settings import settings
from mistudio.store import Feature, Label, Run, Score, bulk, extractions, features, items, labels, runs, scores, session
from mistudio.store.examples import Reference, add_references, add_vocabulary, save_reference_vectors
from mistudio.store.nearest import add_nearest
from mistudio.store.space import give_back
from mistudio.store.vectors import save_vectors
from tests.label.helpers import EVERYTHING, config_for
from tests.servers.answers import plausible
from tests.servers.openai_server import OpenAIServer
from tests.toy import add_toy_extraction

READERS = {"of the public": Visitor("", may_read=True), "a viewer": Visitor("ben@lab.org", may_read=True)}
KEY = "sk-a-visitors-own"


@pytest.fixture
def server(monkeypatch):
    with OpenAIServer(api_key=KEY) as running:
        monkeypatch.setenv("MISTUDIO_VISITOR_SERVERS", running.base_url)
        yield running


@pytest.fixture
def here(engine, toy, server, tmp_path, monkeypatch):
    """A database with a bit of everything, and what the calls below need of it."""
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-owner")
    settings.cache_clear()
    config = config_for(server, negatives=0)
    assert work_run(engine, start_run(engine, toy, config, EVERYTHING), api_key=KEY) == "done"
    return Here(engine, toy, server, config, tmp_path)


class Here:
    def __init__(self, engine, toy, server, config, folder):
        self.engine, self.toy, self.server, self.config, self.folder = engine, toy, server, config, folder
        self.other = add_toy_extraction(engine)
        self.queued = start_run(engine, toy, config, EVERYTHING)
        with session(engine) as work:
            feature, label = features.get_feature(work, toy, 3)
            self.feature_id, self.label_id = feature.id, label.id
            self.judged = bulk.judge_many(work, toy, features.FeatureFilter(indices=(4,)), "approved", author="local")
            labels.judge_label(work, self.label_id, "rejected", author="local")
        self.csv = folder / "labels.csv"
        export_labels(engine, toy, self.csv)
        self.csv.write_text(self.csv.read_text().replace("HTML tags", "markup"))
        self.made = try_one(engine, toy, 5, config, self.provider())
        (adapters.folder_of("mine")).mkdir(parents=True)
        server.requests.clear()

    def provider(self):
        return make_provider(self.config, KEY)

    def label_for(self, **more):
        return Label(feature_id=self.feature_id, text="other", origin="llm", **more)


# Everything that writes in one unit of work.
IN_A_SESSION = {
    "edit a label": lambda work, here: labels.edit_label(work, here.feature_id, "mine", author="ben"),
    "judge a label": lambda work, here: labels.judge_label(work, here.label_id, "approved", author="ben"),
    "add a label": lambda work, here: labels.add_label(work, here.label_for()),
    "add to the history": lambda work, here: labels.add_to_history(work, [here.label_for()]),
    "choose a label": lambda work, here: labels.point_to(work, here.feature_id, here.label_id),
    "choose none": lambda work, here: labels.point_to(work, here.feature_id, None),
    "make current": lambda work, here: labels.make_current(
        work, [work.get_one(Label, here.label_id)], replace_protected=True),
    "star": lambda work, here: features.annotate(work, here.feature_id, starred=True),
    "note": lambda work, here: features.annotate(work, here.feature_id, note="a note"),
    "see": lambda work, here: features.annotate(work, here.feature_id, seen=True),
    "judge many": lambda work, here: bulk.judge_many(work, here.toy, EVERYTHING, "approved", author="ben"),
    "take back": lambda work, here: bulk.take_back(work, here.judged),
    "make a run": lambda work, here: runs.create_run(work, here.toy, {}, []),
    "pause a run": lambda work, here: runs.request_stop(work, here.queued, "pause"),
    "take a lease": lambda work, here: runs.take_lease(work, here.queued, "ben"),
    "keep a lease": lambda work, here: runs.beat(work, here.queued, "ben"),
    "release a run": lambda work, here: runs.release(work, here.queued, "ben", "done"),
    "reopen a run": lambda work, here: runs.reopen(work, here.queued),
    "fail a run": lambda work, here: runs.fail_unowned(work, here.queued, "no"),
    "add to a run": lambda work, here: runs.add_to_config(work, here.queued, note="x"),
    "close items": lambda work, here: items.finish_items(work, here.queued, "ben", {here.feature_id: items.Outcome()}),
    "keep a reply": lambda work, here: items.keep_reply(work, here.queued, here.feature_id, "ben", "said"),
    "store labels": lambda work, here: items.store_labels(work, [items.Outcome(labels=[(here.label_for(), [])])]),
    "add a score": lambda work, here: scores.add_score(work, Score(label_id=0, method="embedding", value=1, n=1),
                                                       work.get_one(Label, here.label_id)),
    "rename": lambda work, here: extractions.rename_extraction(work, here.toy, "mine"),
    "begin to delete": lambda work, here: extractions.begin_deletion(work, here.other),
    "delete features": lambda work, here: extractions.delete_features(work, here.toy),
    "delete an extraction": lambda work, here: extractions.delete_extraction(work, here.toy),
    "add features": lambda work, here: features.add_features(work, [
        {"extraction_id": here.toy, "index": 99, "density": 0, "active_tokens": 0, "max_activation": 0,
         "mean_activation": 0, "state": "dead"}], [None]),
    "add a vocabulary": lambda work, here: add_vocabulary(work, ["a"]),
    "add references": lambda work, here: add_references(work, here.toy, [Reference(
        np.zeros(8, np.int32), split=0, document=1, feature=np.array([11]), position=np.array([2]),
        activation=np.ones(1))]),
    "keep what references mean": lambda work, here: save_reference_vectors(
        work, here.toy, "test", "key", np.zeros(1, np.int64), np.zeros((1, 384), np.float32)),
    "add nearest": lambda work, here: add_nearest(work, here.toy, np.zeros((12, 2), np.int64),
                                                  np.zeros((12, 2), np.float32)),
    "save vectors": lambda work, here: save_vectors(work, "encoder", [(here.label_id, b"12")]),
}
# And everything else that writes, spends, or starts something that would.
CALLS = {
    "start a run": lambda here: start_run(here.engine, here.toy, here.config, EVERYTHING),
    "start scores": lambda here: start_scores(here.engine, here.toy, ScoreConfig(provider="none"), EVERYTHING),
    "label one": lambda here: label_one(here.engine, here.toy, 3, here.config, here.provider()),
    "keep a trial": lambda here: keep(here.engine, here.made, here.config),
    "regenerate": lambda here: propose(here.engine, here.feature_id, here.config, here.provider()),
    "work on a run": lambda here: work_run(here.engine, here.queued, api_key=KEY),
    "launch a run": lambda here: launch(here.engine, here.queued, KEY),
    "resume a run": lambda here: loop.resume(here.engine, here.queued),
    "delete": lambda here: delete(here.engine, here.other, lambda *_step: None),
    "give space back": lambda here: give_back(here.engine),
    "import labels": lambda here: import_labels(here.engine, here.toy, here.folder / "labels.csv", replace_human=True),
    "import features": lambda here: import_features(here.engine, _features_file(here)),
    "export labels": lambda here: export_labels(here.engine, here.toy, here.folder / "mine.csv"),
    "export features": lambda here: export_neuronpedia(here.engine, here.toy, here.folder / "mine"),
    "write requests": lambda here: write_requests(here.engine, here.queued, here.folder / "requests.jsonl"),
    "submit a batch": lambda here: submit(here.engine, here.queued, api_key=KEY),
    "extract": lambda here: _extract()(here.engine, ExtractConfig(model="none", sae="none", corpus="demo")),
    "estimate an extraction": lambda here: _predict()(ExtractConfig(model="none", sae="none", corpus="demo"), print),
    "set up the demo": lambda here: run_demo(here.engine),
    "distill": lambda here: _distill().distill(here.engine, "new", DistillConfig()),
    "resume a distillation": lambda here: _distill().resume(here.engine, "mine"),
    "remove an adapter": lambda here: adapters.remove_adapter("mine"),
    "cancel a distillation": lambda here: adapters.request_cancel("mine"),
    "start a job": lambda here: background.start("mine", lambda _progress: None),
    "cancel a job": lambda here: background.cancel(),
    "acknowledge a job": lambda here: background.acknowledge(),
}


def _features_file(here):
    path = here.folder / "features.jsonl"
    path.write_text('{"index": 0, "examples": [{"tokens": ["a", "b"], "activations": [0, 1.5]}]}\n')
    return path


def _extract():
    from mistudio.extract.pipeline import extract

    return extract


def _predict():
    from mistudio.extract.predict import predict

    return predict


def _distill():
    from mistudio.distill import job

    return job


def rows(engine):
    """All rows of all tables, SQLite's full-text index too."""
    names = [table.name for table in SQLModel.metadata.sorted_tables]
    names += ["label_fts"] if engine.dialect.name == "sqlite" else []
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in names}


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith("test.db")}


def what_came(call):
    """``done``, or the name of the error."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "done"


def in_a_session(here, call):
    """Do it, and take it back."""
    with session(here.engine) as work:
        call(work, here)
        work.flush()
        work.rollback()


@pytest.mark.parametrize("who", READERS.values(), ids=READERS)
def test_nothing_is_written_and_nobody_is_asked_whatever_a_reader_calls(here, who):
    _features_file(here)
    before, kept = rows(here.engine), files(here.folder)
    with acting_as(who):
        came = {name: what_came(lambda call=call: call(here)) for name, call in CALLS.items()}
        came |= {name: what_came(lambda call=call: in_a_session(here, call)) for name, call in IN_A_SESSION.items()}
    assert {name: what for name, what in came.items() if what != "AccessError"} == {}
    assert rows(here.engine) == before and files(here.folder) == kept
    assert not here.server.requests, "nobody was asked"
    assert not here.server.batches.made, "nothing was submitted"


def test_the_owner_may_do_all_of_it_so_that_only_rights_stopped_the_others(here):
    came = {name: what_came(lambda call=call: in_a_session(here, call)) for name, call in IN_A_SESSION.items()}
    assert {name: what for name, what in came.items() if what != "done"} == {}


def test_the_database_itself_refuses_every_statement_that_writes(engine, toy):
    tables = [table.name for table in SQLModel.metadata.sorted_tables]
    before = rows(engine)
    statements = [f'DELETE FROM "{name}"' for name in tables]
    statements += [f'UPDATE "{table.name}" SET "{column.name}" = "{column.name}"'
                   for table in SQLModel.metadata.sorted_tables for column in table.primary_key.columns]
    statements += ["INSERT INTO vocabulary (hash, tokens) VALUES ('x', 'y')", "CREATE TABLE mine (id INTEGER)",
                   "DROP TABLE score", "CREATE INDEX mine ON label (author)", "ALTER TABLE label ADD mine INTEGER"]
    for statement in statements:
        with acting_as(READERS["a viewer"]), pytest.raises(AccessError), session(engine) as work:
            work.execute(text(statement))
            pytest.fail(statement)
    assert rows(engine) == before
    assert "mine" not in inspect(engine).get_table_names()


def test_a_connection_that_a_reader_had_is_the_owners_again_afterwards(engine, toy):
    for _again in range(3):
        with acting_as(READERS["a viewer"]), session(engine) as work:
            assert extractions.get_extraction(work, toy).name
        with session(engine) as work:
            extractions.rename_extraction(work, toy, f"named {_again}")
    with session(engine) as work:
        assert extractions.get_extraction(work, toy).name == "named 2"


def test_nobody_reads_anything(engine, toy):
    with acting_as(NOBODY), pytest.raises(AccessError), session(engine) as work:
        extractions.get_extraction(work, toy)


def test_readers_search_and_try(here):
    with acting_as(READERS["of the public"]):
        assert search(here.engine, here.toy, "label", limit=3)
        made = try_one(here.engine, here.toy, 3, here.config, here.provider())
    assert made.labels and len(here.server.requests) == 1


def test_readers_share_one_place_on_this_machine(here, monkeypatch):
    """The embedded labeler takes the processor; a hundred visitors must not take it a hundred times."""
    monkeypatch.setattr(labeling, "WAIT", 0)
    begun, go_on = threading.Event(), threading.Event()

    def answer(messages):
        begun.set()
        assert go_on.wait(60)
        return plausible(messages)

    here.server.answer = answer
    embedded = here.config.model_copy(update={"provider": "embedded"})

    def attempt(who):
        with acting_as(who):
            return try_one(here.engine, here.toy, 3, embedded, here.provider())

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(attempt, READERS["of the public"])
        assert begun.wait(60)
        with pytest.raises(MistudioError, match="Others are trying features"):
            attempt(READERS["a viewer"])
        owners = pool.submit(attempt, access.owner())
        go_on.set()
        assert first.result().labels and owners.result().labels
    assert attempt(READERS["a viewer"]).labels, "the place is free again"


def test_the_owners_key_and_servers_are_for_those_who_may_write(here):
    with acting_as(READERS["a viewer"]):
        provider = make_provider(here.config)
        assert provider.client.api_key == "none", "the owner's is not taken"
        for inside in ("http://127.0.0.1:9/v1", "http://169.254.169.254/v1", "http://[::1]:9/v1", "http://0x7f.1:9/v1"):
            with pytest.raises(ProviderSetupError, match=r"public internet|written as an address"):
                make_provider(config_for(here.server, base_url=inside), KEY)
        elsewhere = make_provider(config_for(here.server, base_url="http://93.184.216.34/v1"), KEY)
        assert isinstance(elsewhere.client._client._transport, PublicTransport)
        with pytest.raises(ProviderSetupError, match="cannot use this server"):
            make_provider(config_for(here.server, provider="ollama", base_url=None), KEY)
        with pytest.raises(ProviderSetupError, match="no OpenAI API key"):
            make_provider(config_for(here.server, base_url=None))


def test_what_the_owner_adds_to_calls_does_not_go_out_with_a_visitors(here, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "the-owners-organisation")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "the-owners-project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: the-owners-header")
    sent = {}
    for name, who in (("owner", access.owner()), ("reader", READERS["of the public"])):
        with acting_as(who):
            try_one(here.engine, here.toy, 3, here.config, here.provider())
        sent[name] = " ".join(map(str, here.server.headers[-1].items()))
    assert "the-owners-header" in sent["owner"] and "the-owners" not in sent["reader"]
    assert KEY in sent["reader"]


def test_work_in_other_threads_has_the_rights_and_the_name_of_who_started_it(here):
    with acting_as(Visitor("anna@lab.org", may_read=True, may_write=True)):
        thread = launch(here.engine, here.queued, KEY)
    thread.join(60)
    with session(here.engine) as work:
        run = runs.get_run(work, here.queued)
        found = work.exec(select(Label).where(Label.run_id == here.queued)).all()
    assert run.state == "done" and len(found) >= 9
    assert {label.author for label in found} == {"anna@lab.org"}


def test_a_thread_that_was_told_of_no_visitor_is_nobodys_in_a_dashboard(engine, toy, monkeypatch):
    monkeypatch.setattr(access, "_asked", lambda: NOBODY)
    came = []

    def look():
        try:
            with session(engine) as work:
                extractions.get_extraction(work, toy)
        except AccessError as error:
            came.append(error)

    for work_on in (look, access.carried(look)):
        with acting_as(READERS["a viewer"]):
            thread = threading.Thread(target=work_on)
        thread.start()
        thread.join(20)
    assert len(came) == 2, "carried takes along who is here when it is made"


def test_who_did_it_is_stored_with_runs_and_notes(engine, toy):
    anna = Visitor("anna@lab.org", may_read=True, may_write=True)
    with acting_as(anna), session(engine) as work:
        feature = features.get_feature(work, toy, 3)[0]
        features.annotate(work, feature.id, note="look here")
        run = runs.create_run(work, toy, {}, [])
    with session(engine) as work:
        assert work.get_one(Feature, feature.id).noted_by == work.get_one(Run, run.id).author == "anna@lab.org"
