"""Of several labels the best on the select split is kept, and its score on the test split stands beside it."""

import json
from itertools import cycle

import pytest

from mistudio.errors import MistudioError
from mistudio.jobs.estimate import estimate
from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.label.config import LabelConfig
from mistudio.store import Label, items, runs, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label, history
from mistudio.store.scores import scores_of
from tests.label.helpers import config_for
from tests.servers.answers import plausible
from tests.toy import add_toy_extraction

ONE = FeatureFilter(indices=(0,))
GOOD, BAD = "digits in numbers", "court and law terms"


@pytest.fixture
def toy(engine):
    return add_toy_extraction(engine, references=90)


def answering(labels):
    """A server's answers: these labels one after the other, and honest verdicts."""
    texts = cycle(labels)

    def answer(messages):
        if messages[-1]["content"].startswith("Label: "):
            return plausible(messages)
        return json.dumps({"label": next(texts), "explanation": "", "kind": "number", "confidence": 0.5})

    return answer


def run_one(engine, extraction_id, config):
    run_id = start_run(engine, extraction_id, config, ONE)
    assert work_run(engine, run_id) == "done"
    with session(engine) as work:
        feature, label = get_feature(work, extraction_id, 0)
        labels = history(work, feature.id)
        scores = {each.id: {score.split: score for score in scores_of(work, each.id)} for each in labels}
        return run_id, label, labels, scores


@pytest.mark.parametrize("order", [(BAD, GOOD, "question marks"), (GOOD, BAD, BAD)])
def test_the_best_candidate_is_current_and_the_others_are_history(engine, toy, server, order):
    server.answer = answering(order)
    _run, label, labels, scores = run_one(engine, toy, config_for(server, candidates=3, choose_by="detection"))
    assert label.text == GOOD and len(labels) == len(set(order))
    for each in labels:
        assert scores[each.id]["select"].value <= scores[label.id]["select"].value
        assert ("test" in scores[each.id]) == (each.id == label.id)
    assert (label.score, label.score_method) == (scores[label.id]["test"].value, "detection")
    seeds = {each.evidence["seed"] for each in labels}
    assert len(seeds) == len(labels), "each candidate is based on windows of its own"


def test_meaning_chooses_without_another_call(engine, toy, server):
    server.answer = answering((BAD, GOOD))
    _run, label, _labels, scores = run_one(engine, toy, config_for(server, candidates=2))
    assert label.text == GOOD and len(server.requests) == 2
    assert {score.method for each in scores.values() for score in each.values()} == {"embedding"}


def test_a_poor_label_is_shown_what_it_got_wrong_and_tried_on_other_windows(engine, toy, server):
    server.answer = answering((BAD, GOOD))
    config = config_for(server, revise_below=0.9, choose_by="detection")
    _run, label, labels, scores = run_one(engine, toy, config)
    assert [each.text for each in labels] == [GOOD, BAD] and label.text == GOOD
    question = next(body["messages"] for body in server.requests if "judged wrongly" in body["messages"][-1]["content"])
    assert "Active, but your label does not tell so" in question[-1]["content"]
    shown = set(label.evidence["revision"])
    assert shown and not shown & set(scores[label.id]["select"].evidence["windows"])
    assert not shown & set(scores[label.id]["test"].evidence["windows"])


def test_a_revision_that_is_no_better_is_not_kept(engine, toy, server):
    server.answer = answering((GOOD, BAD))
    _run, label, labels, _scores = run_one(engine, toy, config_for(server, revise_below=1, choose_by="fuzzing"))
    assert label.text == GOOD
    # A perfect label is not below 1, so nobody was asked to revise it.
    assert len(labels) == 1


@pytest.mark.parametrize(("before", "made", "kept"), [(GOOD, BAD, GOOD), (BAD, GOOD, GOOD)])
def test_a_label_that_is_there_stays_unless_a_new_one_is_better(engine, toy, server, before, made, kept):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        add_label(work, Label(feature_id=feature.id, text=before, origin="llm"))
    server.answer = answering((made,))
    run_id, label, labels, scores = run_one(engine, toy, config_for(server, keep_better=True, choose_by="detection"))
    assert label.text == kept and [each.text for each in labels] == [made, before]
    assert "test" in scores[label.id]
    with session(engine) as work:
        assert runs.run_counts(work, run_id)["done"] == 1
        assert runs.get_run(work, run_id).prompt_tokens > 0


def test_a_judge_that_fails_decides_nothing(engine, toy, server):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        add_label(work, Label(feature_id=feature.id, text=GOOD, origin="llm"))
    made = answering((BAD,))
    server.answer = lambda messages: ("no verdict" if f"Label: {GOOD}" in messages[-1]["content"]
                                      or "cannot be used" in messages[-1]["content"] else made(messages))
    _run, label, labels, _scores = run_one(engine, toy, config_for(server, keep_better=True, choose_by="detection"))
    assert label.text == GOOD and len(labels) == 2, "it stays: nothing was found to be better"
    server.answer = lambda messages: "no verdict" if messages[0]["content"].startswith("You check") else made(messages)
    _run, label, _labels, scores = run_one(engine, toy, config_for(server, candidates=2, choose_by="detection"))
    assert label.text == BAD and not scores[label.id], "no score is not a score of nothing"
    assert "Nothing was compared: The reply" in label.evidence["note"]


@pytest.mark.parametrize(("answers", "options", "most"), [
    ((GOOD, BAD, "question marks"), {"candidates": 3, "choose_by": "detection"}, True),
    ((GOOD,), {"candidates": 3, "choose_by": "detection"}, False),
    ((BAD, GOOD), {"revise_below": 1, "choose_by": "fuzzing"}, True),
    ((GOOD,), {"revise_below": 1, "choose_by": "fuzzing"}, False),
    ((BAD, GOOD), {"revise_below": 1}, True),
    ((GOOD, BAD), {"candidates": 2, "keep_better": True, "choose_by": "detection"}, True),
    ((BAD, "dates", "prices", GOOD), {"candidates": 3, "revise_below": 1, "keep_better": True,
                                      "choose_by": "fuzzing"}, True),
    ((GOOD, BAD), {"candidates": 2}, True)])
def test_an_estimate_counts_every_call(engine, toy, server, answers, options, most):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        add_label(work, Label(feature_id=feature.id, text="prices in dollars", origin="llm"))
    server.answer = answering(answers)
    config = config_for(server, **options)
    guess = estimate(engine, toy, config, ONE)
    run_id, *_rest = run_one(engine, toy, config)
    with session(engine) as work:
        used = runs.get_run(work, run_id).prompt_tokens
    assert len(server.requests) == guess.calls[most], "all candidates differ (and are revised), or none"
    assert guess.prompt_tokens[0] <= used <= guess.prompt_tokens[1]


def test_without_enough_windows_to_compare_there_is_one_label_that_says_so(engine, server):
    small = add_toy_extraction(engine)
    _run, label, labels, _scores = run_one(engine, small, config_for(server, candidates=3))
    assert len(labels) == len(server.requests) == 1
    assert "Nothing was compared" in label.evidence["note"] and label.score is None


def test_one_candidate_that_fails_leaves_the_others(engine, toy, server):
    good = answering((GOOD,))
    server.answer = good
    server.replies.extend(["no", "no"])
    run_id, label, _labels, _scores = run_one(engine, toy, config_for(server, candidates=2))
    assert label.text == GOOD
    with session(engine) as work:
        assert not items.failures_by_reason(work, run_id)


def test_what_the_embedded_labeler_cannot_do_is_said_before_the_run(engine, toy):
    refused = (({"candidates": 2, "choose_by": "detection"}, "cannot judge"), ({"revise_below": 0.5}, "revise"))
    for options, says in refused:
        with pytest.raises(MistudioError, match=says):
            start_run(engine, toy, LabelConfig(**options), ONE)
