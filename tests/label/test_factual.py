"""A feature of one token is named by it when the user allows it, and nobody is asked."""

import pytest

from mistudio.jobs.labeling import label_one
from mistudio.label.factual import factual_label
from mistudio.label.providers import make_provider
from mistudio.store import Feature, session
from mistudio.store.features import get_feature
from mistudio.store.labels import current_label
from tests.label.helpers import config_for, counts, run_all


def feature_of(*tokens):
    return Feature(id=1, extraction_id=1, index=0, density=0.1, active_tokens=100, max_activation=1.0,
                   mean_activation=0.5, state="live", top_tokens=[[token, count, 0.5] for token, count in tokens])


@pytest.mark.parametrize(("token", "text", "kind"), [
    (" court", "the word 'court'", "token"), ("ing", "the token 'ing'", "token"), (" 1984", "the number '1984'",
                                                                                  "number"),
    (")", "closing bracket ')'", "punctuation"), ("\n", "newline", "punctuation"), ("    ", "spaces", "punctuation"),
    ("\x00!", "the token '\ufffd!'", "punctuation")])
def test_the_label_names_the_token(token, text, kind):
    label = factual_label(feature_of((token, 20)))
    assert (label.text, label.kind, label.origin) == (text, kind, "statistics")
    assert label.provider == label.model == label.prompt == "" and label.cost is None and label.confidence is None
    assert "20 of its 20 examples" in label.explanation


def test_only_where_nearly_all_examples_are_of_one_token():
    assert factual_label(feature_of((" a", 38), (" b", 2))).evidence == {
        "strategy": "statistics", "token": " a", "count": 38, "of": 40}
    assert factual_label(feature_of((" a", 37), (" b", 3))) is None
    assert factual_label(feature_of((" a", 9))) is None, "too few to tell"
    assert factual_label(feature_of()) is None


def one_token(engine, toy, index):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, index)
        feature.top_tokens = [[" court", 44, 6.0]]
        work.add(feature)


def test_a_run_asks_about_the_others_only(engine, toy, server):
    one_token(engine, toy, 3)
    run_id, state = run_all(engine, toy, config_for(server, factual=True))
    assert state == "done" and counts(engine, run_id)["done"] == 11
    assert len(server.requests) == 10
    with session(engine) as work:
        feature, label = get_feature(work, toy, 3)
        assert (label.text, label.origin, label.run_id) == ("the word 'court'", "statistics", run_id)
        assert current_label(work, feature.id).id == label.id


def test_regenerating_asks_although_the_statistics_would_do(engine, toy, server):
    one_token(engine, toy, 3)
    config = config_for(server, factual=True)
    assert label_one(engine, toy, 3, config, make_provider(config)).origin == "statistics"
    assert label_one(engine, toy, 3, config, make_provider(config), different=True).origin == "llm"
    assert label_one(engine, toy, 3, config_for(server), make_provider(config)).origin == "llm"
