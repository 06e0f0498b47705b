"""A server on a bad day: each feature ends labeled, or failed with what truly happened to its last call."""

from collections import Counter

import pytest

from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.label.one import preview
from mistudio.run.loop import resume
from mistudio.store import items, runs, session
from mistudio.store.features import list_features
from tests.label.helpers import EVERYTHING, config_for, labels_a_feature
from tests.servers.faults import FAULTS, GOOD, REASONS, Faults, evidence_in
from tests.servers.openai_server import OpenAIServer
from tests.toy import add_toy_extraction


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server
        server.answer.end.set()


def outcomes(engine, extraction_id, run_id):
    """The label of each labeled feature and the failed item of each other one, by index."""
    with session(engine) as work:
        named = {feature.index: label for feature, label in list_features(work, extraction_id, limit=None) if label}
        failed = {index: item for index, item in items.failed_items(work, run_id, limit=5000)}
        counts = runs.run_counts(work, run_id)
    return named, failed, counts


def prompt_of(engine, feature_id, config):
    return evidence_in(preview(engine, feature_id, config).messages)


def test_of_a_thousand_features_each_is_labeled_or_failed_with_its_true_reason(engine, server):
    toy = add_toy_extraction(engine, features=1001)
    server.answer = faults = Faults(share=0.3, seed=7)
    config = config_for(server, concurrency=32, timeout=1, negatives=0)
    run_id = start_run(engine, toy, config, EVERYTHING)
    assert work_run(engine, run_id) == "done"
    named, failed, counts = outcomes(engine, toy, run_id)
    assert counts == {"queued": 0, "done": len(named), "failed": len(failed), "skipped": 1}
    assert len(named) + len(failed) == 1000
    assert {what for what in Counter(call.what for call in faults.calls)} == {GOOD, *FAULTS}
    assert 0.25 < sum(call.what != GOOD for call in faults.calls) / len(faults.calls) < 0.35

    last = {call.prompt: call for call in faults.calls}
    answered = {call.label: call for call in faults.calls if call.what == GOOD}
    assert all(last[answered[label.text].prompt] == answered[label.text] for label in named.values())
    assert len({answered[label.text].prompt for label in named.values()}) == len(named), "no answer on two features"
    for item in failed.values():
        assert item.reason_kind == REASONS[last[prompt_of(engine, item.feature_id, config)].what]
        assert item.reason and len(item.reply) <= 20_000
    assert labels_a_feature(engine) == [1] * len(named)

    faults.share = 0.0
    assert resume(engine, run_id, failed_too=True) == len(failed)
    assert work_run(engine, run_id) == "done"
    assert labels_a_feature(engine) == [1] * 1000


def test_a_fault_that_stays_is_the_reason_and_stops_nobody_else(engine, server):
    kinds = [what for what in FAULTS if what != "429"]  # without Retry-After the client takes long to give in
    toy = add_toy_extraction(engine, features=2 * len(kinds) + 1)
    server.answer = faults = Faults(share=0.0)
    config = config_for(server, concurrency=16, timeout=0.5, negatives=0)
    with session(engine) as work:
        ids = [feature.id for feature, _label in list_features(work, toy, limit=len(kinds))]
    faults.struck = dict(zip((prompt_of(engine, feature_id, config) for feature_id in ids), kinds, strict=True))
    run_id = start_run(engine, toy, config, EVERYTHING)
    assert work_run(engine, run_id) == "done"
    named, failed, _counts = outcomes(engine, toy, run_id)
    assert [failed[index].reason_kind for index in range(len(kinds))] == [REASONS[what] for what in kinds]
    assert sorted(named) == list(range(len(kinds), 2 * len(kinds)))
