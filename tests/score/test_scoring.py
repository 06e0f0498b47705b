"""Scoring runs: a score for each label and method, a reason where there is none, and nothing asked twice."""

import pytest
from sqlmodel import select

from mistudio.errors import MistudioError
from mistudio.jobs.estimate import estimate_scores
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.run.loop import resume
from mistudio.score.config import ScoreConfig
from mistudio.score.report import report, run_summaries
from mistudio.store import Label, Score, items, runs, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label
from tests.servers.base import Failure
from tests.servers.openai_server import MODEL

RIGHT = ("digits in numbers", "Python keywords", "closing brackets", "court and law terms")


@pytest.fixture
def labeled(engine, toy):
    """The toy with four labels."""
    with session(engine) as work:
        for index, text in enumerate(RIGHT):
            feature, _none = get_feature(work, toy, index)
            add_label(work, Label(feature_id=feature.id, text=text, origin="llm", provider="openai", model="m",
                                  kind="code", evidence={"examples": ["top:1"], "strategy": "top", "seed": 0}))
    return toy


def config_for(server, **options):
    usual = {"provider": "openai", "model": MODEL, "base_url": server.base_url, "concurrency": 2}
    return ScoreConfig(**usual | options)


def score_all(engine, extraction_id, config, wanted=FeatureFilter()):
    run_id = start_scores(engine, extraction_id, config, wanted)
    return run_id, work_run(engine, run_id)


def scores(engine):
    with session(engine) as work:
        return work.exec(select(Score).order_by(Score.id)).all()


def test_each_label_gets_each_score_with_a_baseline_beside_it(engine, labeled, server):
    run_id, state = score_all(engine, labeled, config_for(server))
    assert state == "done"
    with session(engine) as work:
        assert runs.run_counts(work, run_id) == {"queued": 0, "done": 4, "failed": 0, "skipped": 8}
        found = run_summaries(work, run_id)
        labels = [get_feature(work, labeled, index)[1] for index in range(4)]
    assert [each.method for each in found] == ["detection", "fuzzing", "embedding"]
    for each in found:
        assert len(each.values) == len(each.baselines) == 4
    for each in found[:2]:
        assert each.mean > 0.8 > 0.6 > each.baseline
        assert set(each.found) == {"0-3", "3-6", "6-10"}
    for score in scores(engine):
        assert score.split == "test" and score.low <= score.value <= score.high and score.n >= 10
        assert (score.cost, score.prompt_hash != "") == (None, score.method != "embedding")
        assert len(score.evidence["windows"]) == score.n
    assert [label.score_method for label in labels] == ["detection"] * 4
    assert all(label.score > 0.7 for label in labels)


def test_what_was_misjudged_is_kept_with_its_text(engine, labeled, server):
    score_all(engine, labeled, config_for(server, fuzzing=False, embedding=False), FeatureFilter(indices=(1,)))
    (score,) = scores(engine)
    assert score.misjudged and score.value < 1
    for window in score.misjudged:
        # The test's judge looks for whole words, so it misses keywords that run into their neighbours.
        assert not window["said"] and window["strength"] > 0 and len(window["tokens"]) == len(window["strengths"])
    assert score.recall == 1 - len(score.misjudged) / sum(every for _found, every in score.recalls["decile"])


def test_without_a_judge_only_meaning_is_measured_and_nobody_is_asked(engine, labeled, server):
    score_all(engine, labeled, ScoreConfig())
    assert {score.method for score in scores(engine)} == {"embedding"}
    assert len(scores(engine)) == 4 and not server.requests
    with pytest.raises(MistudioError, match="nothing to score by"):
        start_scores(engine, labeled, ScoreConfig(embedding=False), FeatureFilter())


def test_a_reply_that_cannot_be_read_is_a_failed_item_and_never_a_zero(engine, labeled, server):
    usual = server.answer
    server.answer = lambda messages: "no idea" if "between <<" in messages[0]["content"] else usual(messages)
    run_id, _state = score_all(engine, labeled, config_for(server), FeatureFilter(indices=(0,)))
    with session(engine) as work:
        ((index, item),) = items.failed_items(work, run_id)
        assert (index, item.reason_kind, item.reply) == (0, "wrong schema", "no idea")
        assert item.reason.startswith("fuzzing: ")
        assert runs.get_run(work, run_id).prompt_tokens > 0
    assert [score.method for score in scores(engine)] == ["detection"], "what was paid for is kept"
    server.answer, asked = usual, len(server.requests)
    resume(engine, run_id, failed_too=True)
    assert work_run(engine, run_id) == "done"
    assert [score.method for score in scores(engine)] == ["detection", "fuzzing", "embedding"]
    assert all("<<" in request["messages"][-1]["content"] for request in server.requests[asked:])


def test_a_label_is_not_scored_twice_by_one_judge_unless_asked(engine, labeled, server):
    config = config_for(server, embedding=False)
    score_all(engine, labeled, config)
    asked = len(server.requests)
    run_id, _state = score_all(engine, labeled, config)
    with session(engine) as work:
        assert ("scored", "its label was scored by this judge before", 4) in items.failures_by_reason(
            work, run_id, "skipped")
    assert len(server.requests) == asked
    score_all(engine, labeled, config.model_copy(update={"again": True}))
    assert len(scores(engine)) == 16
    with session(engine) as work:
        assert len(report(work, labeled).summaries[0].values) == 4, "only the newest of a label counts"


def test_a_server_that_says_no_stops_the_run_with_its_reason(engine, labeled, server):
    server.answer = lambda _messages: Failure(401, "bad key", "invalid_api_key")
    run_id, state = score_all(engine, labeled, config_for(server))
    with session(engine) as work:
        assert state == "failed" and "API key" in runs.get_run(work, run_id).message
        assert runs.run_counts(work, run_id)["queued"] == 4


def test_the_report_groups_and_counts_what_labeling_again_brought(engine, labeled, server):
    config = config_for(server, fuzzing=False, embedding=False)
    with session(engine) as work:
        feature, _label = get_feature(work, labeled, 0)
        add_label(work, Label(feature_id=feature.id, text="court and law terms", origin="llm", provider="openai",
                              model="worse", cost=0.25))
    score_all(engine, labeled, config)
    with session(engine) as work:
        before = report(work, labeled)
        add_label(work, Label(feature_id=feature.id, text="digits in numbers", origin="llm", provider="openai",
                              model="better", cost=0.5))
    assert not before.gains
    assert {(group.name, group.labels) for group in before.groups if group.by == "model"} == {
        ("openai m", 3), ("openai worse", 1)}
    score_all(engine, labeled, config)
    with session(engine) as work:
        (gain,) = report(work, labeled).gains
    assert gain.features == 1 and gain.points > 30
    assert gain.cost is None and gain.dollars_a_point is None, "the judge's price is not known"


def test_an_estimate_brackets_what_scoring_then_uses(engine, labeled, server):
    config = config_for(server, embedding=False)
    guess = estimate_scores(engine, labeled, config, FeatureFilter())
    assert (guess.features, guess.skipped, guess.cost, guess.seconds) == (4, 8, None, None)
    run_id, _state = score_all(engine, labeled, config)
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    assert guess.calls == (len(server.requests),) * 2
    assert guess.prompt_tokens[0] <= run.prompt_tokens <= guess.prompt_tokens[1]
    assert estimate_scores(engine, labeled, config.model_copy(update={"again": True}), FeatureFilter()).seconds[0] > 0
