"""Scores by files: the many answers to one label are kept until all are there, and make the scores of a live run."""

import pytest
from sqlmodel import select

from mistudio.batch.address import Address
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.run.loop import resume
from mistudio.store import Score, session
from mistudio.store.features import FeatureFilter
from tests.batch.conftest import Asking, judge_config
from tests.batch.test_labels import refused, replied
from tests.label.helpers import EVERYTHING, LABELABLE

# Two methods, the label's own and a wrong one, two calls each; fuzzing has as many windows as there are.
CALLS = 8


def scores(engine, run_id):
    with session(engine) as work:
        return list(work.exec(select(Score).where(Score.run_id == run_id).order_by(Score.label_id, Score.method)))


def of_the_first(judging):
    """The responses about the first feature."""
    feature = Address.read(judging.requests[0]["custom_id"]).feature_id
    return [line for line in judging.responses if Address.read(line["custom_id"]).feature_id == feature]


def test_scores_by_file_are_those_of_a_live_run(engine, labeled, server, judging):
    assert len(judging.requests) == CALLS * LABELABLE
    assert judging.take(judging.responses[::-1]).taken == CALLS * LABELABLE
    assert judging.state == "done" and judging.counts["done"] == LABELABLE
    config = judge_config(server, again=True, concurrency=1)
    sent = [request["body"] for request in judging.requests]
    server.requests.clear()
    live = start_scores(engine, labeled, config, EVERYTHING)
    assert work_run(engine, live) == "done"
    assert server.requests == sent
    by_file = scores(engine, judging.run_id)
    assert len(by_file) == 2 * LABELABLE
    for one, other in zip(by_file, scores(engine, live), strict=True):
        assert one.model_dump(exclude={"id", "run_id", "seconds", "created_at"}) == \
            other.model_dump(exclude={"id", "run_id", "seconds", "created_at"})
        assert one.seconds is None and one.baseline is not None


def test_answers_wait_for_each_other(engine, judging):
    lines = of_the_first(judging)
    assert judging.take(lines[:3]).taken == 3
    assert judging.take([*lines[1:5], lines[4]]).already == 3
    assert scores(engine, judging.run_id) == [] and judging.counts["done"] == 0
    report = judging.take(lines)
    assert (report.taken, report.already) == (CALLS - 5, 5)
    assert len(scores(engine, judging.run_id)) == 2 and judging.counts["done"] == 1
    assert judging.state == "waiting"


@pytest.mark.parametrize(("spoil", "kind"), [
    (lambda it: refused(it, 500), "server"), (lambda it: replied(it, '{"answers": []}'), "missing windows"),
    (lambda it: it | {"custom_id": it["custom_id"][:-16] + "0" * 16}, "other prompt")])
def test_one_bad_answer_fails_its_label_and_is_asked_again(engine, server, judging, tmp_path, spoil, kind):
    bad = next(line for line in judging.responses if "-fuzzing.wrong.1-" in line["custom_id"])
    lines = [spoil(line) if line is bad else line for line in judging.responses]
    judging.take(lines)
    assert judging.state == "done" and judging.counts["failed"] == 1
    assert [(found, count) for found, _reason, count in judging.failures] == [(kind, 1)]
    assert judging.failures[0][1].startswith("fuzzing: ")
    resume(engine, judging.run_id, failed_too=True)
    (tmp_path / "again").mkdir()
    again = Asking(engine, server, tmp_path / "again", judging.run_id)
    # Detection is measured already.
    assert [line["custom_id"] for line in again.requests] == [
        line["custom_id"] for line in of_the_first(judging) if "-fuzzing." in line["custom_id"]]
    assert judging.take(judging.responses).taken == CALLS // 2
    assert judging.state == "done" and len(scores(engine, judging.run_id)) == 2 * LABELABLE


def test_tokens_of_all_answers_are_counted(engine, judging):
    judging.take(judging.responses)
    used = [line["response"]["body"]["usage"]["prompt_tokens"] for line in judging.responses]
    assert sum(score.prompt_tokens for score in scores(engine, judging.run_id)) == sum(used)


def test_a_waiting_run_with_some_answers_can_be_asked_live(engine, judging):
    judging.take(judging.responses[:CALLS + 3])
    assert resume(engine, judging.run_id) == LABELABLE - 1
    assert work_run(engine, judging.run_id) == "done"
    assert judging.take(judging.responses).already == len(judging.responses)
    assert len(scores(engine, judging.run_id)) == 2 * LABELABLE


def test_the_embedding_score_comes_with_the_answers(engine, labeled, server, tmp_path):
    config = judge_config(server, embedding=True, fuzzing=False)
    wanted = FeatureFilter(indices=(0, 1))
    asked = Asking(engine, server, tmp_path, start_scores(engine, labeled, config, wanted))
    asked.take(asked.responses)
    assert [score.method for score in scores(engine, asked.run_id)] == ["detection", "embedding"] * 2
