"""Runs: every feature labeled, a person's word kept, no call waiting for another."""

import threading

import pytest

from mistudio.errors import MistudioError, ReplyError, StoreError
from mistudio.jobs import background
from mistudio.jobs.estimate import estimate
from mistudio.jobs.labeling import label_one, start_run
from mistudio.jobs.work import work_run
from mistudio.label.config import LabelConfig
from mistudio.label.providers import make_provider
from mistudio.store import Label, items, plans, runs, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label, current_label, edit_label, history, judge_label
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, counts, labels_of, run_all


def test_a_run_labels_every_feature_and_skips_the_dead_one_with_a_reason(engine, toy, server):
    seen = []
    config = config_for(server)
    run_id = start_run(engine, toy, config, EVERYTHING)
    assert work_run(engine, run_id, on_progress=seen.append) == "done"
    assert counts(engine, run_id) == {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}
    assert labels_of(engine, toy)[:6] == ["digits in numbers", "Python keywords", "closing brackets",
                                          "court and law terms", "prices in dollars", "HTML tags"]
    with session(engine) as work:
        assert items.failures_by_reason(work, run_id, "skipped") == [("dead", "dead: never active", 1)]
        run = runs.get_run(work, run_id)
        label = runs.recent_labels(work, run_id, 1)[0][1]
    assert (run.state, run.owner, run.cost) == ("done", "", None)
    assert run.prompt_tokens > 0
    assert label.evidence["examples"]
    assert label.prompt == "standard-v2"
    assert label.prompt_hash
    assert label.run_id == run_id
    assert [progress.counts["done"] for progress in seen] == list(range(LABELABLE + 1))


def test_no_more_calls_at_a_time_than_wanted_and_a_slow_one_holds_up_nobody(engine, toy, server):
    slow = threading.Event()
    normal = server.answer

    def answer(messages):
        if "digits" not in normal(messages):
            return normal(messages)
        slow.wait(20)
        return normal(messages)

    server.answer = answer
    config = config_for(server, concurrency=3)
    run_id = start_run(engine, toy, config, FeatureFilter(indices=(0, 1, 2, 3, 4, 5)))
    landed = threading.Event()
    worker = threading.Thread(target=work_run, args=(engine, run_id), kwargs={
        "on_progress": lambda progress: landed.set() if progress.counts["done"] == 5 else None})
    worker.start()
    assert landed.wait(20)
    slow.set()
    worker.join(20)
    assert counts(engine, run_id)["done"] == 6
    assert server.most_in_flight <= 3


def test_a_label_of_a_person_survives_label_all(engine, toy, server):
    with session(engine) as work:
        written, _none = get_feature(work, toy, 0)
        approved, _none = get_feature(work, toy, 1)
        edit_label(work, written.id, "my own name", author="ann")
    run_all(engine, toy, config_for(server), FeatureFilter(indices=(1,)))
    with session(engine) as work:
        judge_label(work, current_label(work, approved.id).id, "approved", author="ann")
        before = current_label(work, approved.id).id
    run_id, _state = run_all(engine, toy, config_for(server))
    assert labels_of(engine, toy)[0] == "my own name"
    with session(engine) as work:
        assert current_label(work, approved.id).id == before
    assert counts(engine, run_id)["skipped"] == 3
    run_all(engine, toy, config_for(server, replace_human=True))
    assert labels_of(engine, toy)[0] == "digits in numbers"


def test_a_label_written_while_its_call_is_in_flight_is_kept(engine, toy, server):
    server.gate = threading.Event()
    config = config_for(server)
    run_id = start_run(engine, toy, config, FeatureFilter(indices=(0,)))
    worker = background.launch(engine, run_id)
    server.wait_for_requests(1)
    with session(engine) as work:
        feature, _none = get_feature(work, toy, 0)
        edit_label(work, feature.id, "written meanwhile", author="ann")
    server.gate.set()
    worker.join(20)
    assert labels_of(engine, toy)[0] == "written meanwhile"
    assert counts(engine, run_id)["skipped"] == 1
    with session(engine) as work:
        assert "digits in numbers" in [label.text for label in history(work, feature.id)]


def test_one_question_back_mends_a_reply(engine, toy, server):
    server.replies.extend(["It is about digits.", '{"label": "digits", "explanation": "", "kind": "number"}'])
    run_id, _state = run_all(engine, toy, config_for(server), FeatureFilter(indices=(0,)))
    assert labels_of(engine, toy)[0] == "digits"
    assert counts(engine, run_id)["done"] == 1
    assert server.requests[1]["messages"][-2] == {"role": "assistant", "content": "It is about digits."}
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    assert run.prompt_tokens > server.requests[0]["messages"][-1]["content"].count(" ")


def test_one_feature_can_be_labeled_again_with_other_examples(engine, toy, server):
    config = config_for(server, examples=6)
    first = label_one(engine, toy, 1, config, make_provider(config))
    second = label_one(engine, toy, 1, config, make_provider(config), different=True)
    assert not set(first.evidence["examples"]) & set(second.evidence["examples"])
    with session(engine) as work:
        feature, label = get_feature(work, toy, 1)
        assert label.id == second.id
        assert len(history(work, feature.id)) == 2
    server.answer = lambda _messages: "no"
    with pytest.raises(ReplyError):
        label_one(engine, toy, 1, config, make_provider(config))
    with pytest.raises(MistudioError, match="no example"):
        label_one(engine, toy, 11, config, make_provider(config))


def test_nothing_to_label_is_a_message(engine, toy, server):
    with pytest.raises(StoreError, match="nothing to label"):
        start_run(engine, toy, config_for(server), FeatureFilter(indices=(99,)))


@pytest.mark.parametrize("wanted", [EVERYTHING, FeatureFilter(labels="unlabeled"), FeatureFilter(indices=(3, 4, 11)),
                                    FeatureFilter(labels="human"), FeatureFilter(text="nothing like it")])
def test_the_outline_of_a_plan_counts_what_the_plan_holds(engine, toy, wanted):
    with session(engine) as work:
        for index, verdict in ((2, ""), (4, "approved"), (5, "rejected")):
            add_label(work, Label(feature_id=get_feature(work, toy, index)[0].id, text="x", origin="llm",
                                  verdict=verdict))
    for replace in (False, True):
        with session(engine) as work:
            plan = work.exec(plans.plan_labels(toy, wanted, replace_human=replace)).all()
            queued, skipped, sample = plans.outline_labels(work, toy, wanted, 100, replace_human=replace)
        ids = [feature_id for feature_id, state, *_why in plan if state == "queued"]
        assert (queued, skipped) == (len(ids), len(plan) - len(ids)) and sample == ids


def test_an_estimate_brackets_what_the_run_then_uses(engine, toy, server):
    config = config_for(server)
    before = estimate(engine, toy, config, EVERYTHING)
    assert (before.features, before.skipped) == (LABELABLE, 1)
    assert (before.seconds, before.cost, before.free) == (None, None, False)
    run_id, _state = run_all(engine, toy, config)
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    assert before.prompt_tokens[0] <= run.prompt_tokens <= before.prompt_tokens[1]
    assert estimate(engine, toy, config, EVERYTHING).seconds[0] > 0
    priced = estimate(engine, toy, LabelConfig(provider="openai", model="gpt-4o-mini"), EVERYTHING)
    assert 0 < priced.cost[0] < priced.cost[1]
    assert estimate(engine, toy, LabelConfig(), EVERYTHING).free
