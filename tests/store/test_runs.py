"""The queue and the lease: one worker a run, each item closed once, everything in one transaction."""

from datetime import timedelta

import pytest

from mistudio.errors import StoreError
from mistudio.store import Label, Run, Score, items, plans, runs, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.items import Outcome
from mistudio.store.labels import add_label, current_label, edit_label, history
from mistudio.store.scores import add_score
from mistudio.store.tables import RunItem, now


@pytest.fixture
def run_id(engine, toy):
    with session(engine) as work:
        return runs.create_run(work, toy, {"provider": "embedded"}, plans.plan_labels(toy, FeatureFilter())).id


def pass_time(engine, run_id, seconds):
    with session(engine) as work:
        run = work.get(Run, run_id)
        run.heartbeat = now() - timedelta(seconds=seconds)
        work.add(run)


def test_only_one_worker_gets_a_run_until_it_goes_silent(engine, run_id):
    with session(engine) as work:
        assert runs.take_lease(work, run_id, "a")
        assert not runs.take_lease(work, run_id, "b")
    pass_time(engine, run_id, 20)
    with session(engine) as work:
        assert not runs.take_lease(work, run_id, "b")
    pass_time(engine, run_id, 31)
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == "interrupted"
        assert runs.take_lease(work, run_id, "b")
        assert runs.beat(work, run_id, "a") is None
        assert runs.beat(work, run_id, "b") == ""


def test_an_item_is_closed_once_and_only_by_the_worker_that_holds_the_lease(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        feature_id = items.queued_items(work, run_id)[0].feature_id

    def finish(owner, text):
        with session(engine) as work:
            label = Label(feature_id=feature_id, text=text, origin="llm")
            return items.finish_items(work, run_id, owner, {feature_id: Outcome(
                labels=[(label, [])], prompt_tokens=10, completion_tokens=2, cost=0.5)})

    assert finish("b", "stranger") == (None, {})
    assert finish("a", "first") == ("", {feature_id: "done"})
    assert finish("a", "second") == ("", {})
    with session(engine) as work:
        assert [label.text for label in history(work, feature_id)] == ["first"]
        run = runs.get_run(work, run_id)
        assert (run.prompt_tokens, run.completion_tokens, run.cost) == (10, 2, 0.5)
        assert runs.run_counts(work, run_id) == {"queued": 10, "done": 1, "failed": 0, "skipped": 1}


def test_items_that_are_closed_together_each_get_their_own_end(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        ids = [item.feature_id for item in items.queued_items(work, run_id)[:4]]
        items.finish_items(work, run_id, "a", {ids[0]: Outcome(prompt_tokens=1)})
        edit_label(work, ids[1], "written meanwhile", author="ann")
    outcomes = {feature_id: Outcome(labels=[(Label(feature_id=feature_id, text=f"label {feature_id}", origin="llm"), [])
                                            ], prompt_tokens=10, cost=0.5) for feature_id in ids[:3]}
    outcomes[ids[3]] = Outcome("failed", reason_kind="prose", reply="well ...", prompt_tokens=10)
    with session(engine) as work:
        assert items.finish_items(work, run_id, "a", outcomes) == (
            "", {ids[1]: "skipped", ids[2]: "done", ids[3]: "failed"})
    with session(engine) as work:
        assert [len(history(work, feature_id)) for feature_id in ids] == [0, 2, 1, 0]
        assert current_label(work, ids[1]).text == "written meanwhile"
        assert current_label(work, ids[2]).text == f"label {ids[2]}"
        assert [work.get_one(RunItem, (run_id, feature_id)).reply for feature_id in ids] == ["", "", "", "well ..."]
        run = runs.get_run(work, run_id)
        assert (run.prompt_tokens, run.cost) == (31, 1.0)


def test_an_unknown_cost_stays_unknown_and_a_known_one_adds_up(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        first, second, third = [item.feature_id for item in items.queued_items(work, run_id)[:3]]
        items.finish_items(work, run_id, "a", {first: Outcome("failed", reason_kind="prose")})
    with session(engine) as work:
        assert runs.get_run(work, run_id).cost is None
        items.finish_items(work, run_id, "a", {feature: Outcome(
            "failed", reason_kind="timeout", prompt_tokens=5, completion_tokens=1, cost=0.25)
            for feature in (second, third)})
    with session(engine) as work:
        assert runs.get_run(work, run_id).cost == 0.5
        assert [(kind, count) for kind, _reason, count in items.failures_by_reason(work, run_id)] == [
            ("timeout", 2), ("prose", 1)]


def test_cancelling_ends_a_waiting_run_at_once_and_asks_a_running_one(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        runs.request_stop(work, run_id, "cancel")
    with session(engine) as work:
        assert runs.beat(work, run_id, "a") == "cancel"
        runs.release(work, run_id, "a", "cancelled")
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == "cancelled"
        assert not runs.take_lease(work, run_id, "b")
        assert runs.reopen(work, run_id) == 11
        runs.request_stop(work, run_id, "cancel")
    with session(engine) as work:
        assert runs.get_run(work, run_id).state == "cancelled"


def test_a_run_in_work_cannot_be_reopened(engine, run_id):
    with session(engine) as work:
        runs.take_lease(work, run_id, "a")
        with pytest.raises(StoreError, match="being worked on"):
            runs.reopen(work, run_id)


def test_a_run_that_nobody_took_up_can_be_resumed(engine, run_id):
    pass_time(engine, run_id, 31)
    with session(engine) as work:
        assert runs.list_runs(work)[0].state == "interrupted"
        assert runs.reopen(work, run_id) == 11
        assert runs.list_runs(work)[0].state == "queued"


def test_an_interrupted_run_with_nothing_left_is_done(engine, toy):
    with session(engine) as work:
        dead = plans.plan_labels(toy, FeatureFilter(states=("dead",)))
        run_id = runs.create_run(work, toy, {}, dead).id
        runs.take_lease(work, run_id, "a")
    pass_time(engine, run_id, 31)
    with session(engine) as work:
        assert runs.reopen(work, run_id) == 0
        assert runs.get_run(work, run_id).state == "done"


def test_an_unknown_run_is_a_message(engine):
    with session(engine) as work, pytest.raises(StoreError, match="no run 7"):
        runs.get_run(work, 7)


def test_a_plan_of_scores_skips_what_this_judge_scored(engine, toy):
    with session(engine) as work:
        ids = [get_feature(work, toy, index)[0].id for index in range(3)]
        for feature_id, methods in zip(ids, (("detection", "fuzzing"), ("detection",), ()), strict=True):
            label = Label(feature_id=feature_id, text="x", origin="llm")
            add_label(work, label)
            for method in methods:
                add_score(work, Score(label_id=label.id, method=method, judge="j", value=0.8, n=4), label)
    judges = {"detection": "j", "fuzzing": "j"}
    for again, states in ((False, ["skipped", "queued", "queued"]), (True, ["queued"] * 3)):
        with session(engine) as work:
            plan = work.exec(plans.plan_scores(toy, FeatureFilter(), judges, again=again)).all()
            assert [row[1] for row in plan[:3]] == states
            assert {row[2] for row in plan[3:]} == {"no label"}
            queued, skipped, sample = plans.outline_scores(work, toy, FeatureFilter(), judges, 8, again=again)
            assert (queued, skipped) == (states.count("queued"), len(plan) - states.count("queued"))
            assert sample == [row[0] for row in plan if row[1] == "queued"]
            run = runs.create_run(work, toy, {}, plans.plan_scores(toy, FeatureFilter(), judges, again=again), "score")
            assert runs.run_counts(work, run.id) == {"queued": queued, "skipped": skipped, "done": 0, "failed": 0}
