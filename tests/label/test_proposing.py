"""Labels for a person to choose from: stored beside the others, tried on the same windows, current only by choice."""

import json

import pytest

from mistudio.errors import ProviderSetupError
from mistudio.jobs.labeling import start_run
from mistudio.jobs.proposing import propose, try_labels
from mistudio.label.config import LabelConfig
from mistudio.label.one import preview, template_of
from mistudio.label.providers import make_provider
from mistudio.store import Label, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label, history
from mistudio.store.scores import scores_of
from tests.label.helpers import config_for
from tests.toy import add_toy_extraction

HINT = "it marks\nthe money in it"


@pytest.fixture
def toy(engine):
    return add_toy_extraction(engine, references=90)


def feature_of(engine, extraction_id, index=0):
    with session(engine) as work:
        return get_feature(work, extraction_id, index)


def asked_for(engine, extraction_id, config):
    feature, _label = feature_of(engine, extraction_id)
    provider = make_provider(config)
    try:
        return propose(engine, feature.id, config, provider)
    finally:
        provider.close()


def answer(text):
    return json.dumps({"label": text, "explanation": "", "kind": "number", "confidence": 0.5})


def test_proposals_are_history_until_somebody_chooses(engine, toy, server):
    with session(engine) as work:
        add_label(work, Label(feature_id=get_feature(work, toy, 0)[0].id, text="there before", origin="llm"))
    server.replies += [answer("court and law terms"), answer("digits in numbers")]
    made = asked_for(engine, toy, config_for(server, candidates=2))
    feature, current = feature_of(engine, toy)
    assert [label.text for label in made] == ["digits in numbers", "court and law terms"], "best first"
    assert current.text == "there before"
    with session(engine) as work:
        assert {label.id for label in history(work, feature.id)} == {current.id, *(label.id for label in made)}


def test_labels_are_tried_on_the_same_windows_once(engine, toy):
    feature, _label = feature_of(engine, toy)
    with session(engine) as work:
        labels = [Label(feature_id=feature.id, text=text, origin="llm") for text in ("digits in numbers", "wall paint")]
        for label in labels:
            add_label(work, label)
    ids = [label.id for label in labels]
    assert try_labels(engine, feature.id, ids, "select") == "" == try_labels(engine, feature.id, ids, "select")
    with session(engine) as work:
        scores = [scores_of(work, label_id) for label_id in ids]
    assert [len(found) for found in scores] == [1, 1]
    assert scores[0][0].evidence["windows"] == scores[1][0].evidence["windows"]
    assert scores[0][0].value > scores[1][0].value
    assert feature_of(engine, toy)[0].score is None, "the select split makes no headline"
    assert try_labels(engine, feature.id, ids[1:], "test") == ""
    assert feature_of(engine, toy)[0].score is not None


def test_a_label_that_cannot_be_tried_says_why(engine, toy):
    few = add_toy_extraction(engine, features=4)
    for extraction, evidence, said in ((few, {}, "fewer than"), (toy, {"revision": ["top:1"]}, "has seen")):
        feature, _label = feature_of(engine, extraction)
        with session(engine) as work:
            label = Label(feature_id=feature.id, text="digits", origin="llm", evidence=evidence)
            add_label(work, label)
        assert said in try_labels(engine, feature.id, [label.id], "select")


def test_a_hint_stands_after_the_evidence_and_is_stored_with_it(engine, toy, server):
    plain, hinted = config_for(server), config_for(server, hint=HINT)
    prompt = preview(engine, feature_of(engine, toy)[0].id, hinted)
    assert prompt.hash == preview(engine, feature_of(engine, toy)[0].id, plain).hash, "the template is the same"
    assert r"it marks\nthe money in it" in prompt.messages[-1]["content"].split("Silent windows")[-1]
    label = asked_for(engine, toy, hinted)[0]
    assert r"it marks\nthe money in it" in server.requests[-1]["messages"][-1]["content"]
    assert label.evidence["hint"] == HINT
    assert "hint" not in asked_for(engine, toy, plain)[0].evidence


def test_the_embedded_labeler_says_that_it_understands_no_hint(engine, toy):
    config = LabelConfig(hint=HINT)
    with pytest.raises(ProviderSetupError, match="understands no hint"):
        template_of(config)
    with pytest.raises(ProviderSetupError, match="understands no hint"):
        start_run(engine, toy, config, FeatureFilter())
