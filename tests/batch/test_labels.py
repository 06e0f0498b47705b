"""Labels by files: what comes back is stored as a live answer is; what is wrong with a file harms nothing."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from mistudio.batch import requests
from mistudio.batch.lease import Lease
from mistudio.batch.replies import pack, read_line, unpack
from mistudio.batch.requests import write_requests
from mistudio.batch.taking import take_files
from mistudio.errors import MistudioError, StoreError
from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.run.loop import resume
from mistudio.store import Label, Run, runs, session
from mistudio.store.features import get_feature
from mistudio.store.items import failed_items
from mistudio.store.labels import edit_label
from tests.batch.conftest import Asking
from tests.label.helpers import EVERYTHING, LABELABLE, config_for, labels_a_feature, labels_of
from tests.servers.batch_api import expired
from tests.servers.openai_server import MODEL
from tests.toy import add_toy_extraction

ALL_DONE = {"queued": 0, "done": LABELABLE, "failed": 0, "skipped": 1}


def stored_labels(engine):
    with session(engine) as work:
        return list(work.exec(select(Label).order_by(Label.feature_id)))


def test_labels_by_file_are_those_of_a_live_run(engine, toy, server, asking):
    assert asking.state == "waiting"
    assert asking.take(asking.responses[::-1]).taken == LABELABLE
    assert asking.state == "done" and asking.counts == ALL_DONE
    by_file = stored_labels(engine)
    other = add_toy_extraction(engine)
    sent = [request["body"] for request in asking.requests]
    server.requests.clear()
    work_run(engine, start_run(engine, other, config_for(server, concurrency=1), EVERYTHING))
    assert server.requests == sent
    for one, live in zip(by_file, stored_labels(engine)[len(by_file):], strict=True):
        for name in ("text", "explanation", "kind", "confidence", "provider", "model", "prompt", "prompt_hash",
                     "evidence", "reply", "prompt_tokens", "completion_tokens"):
            assert getattr(one, name) == getattr(live, name), name
        assert one.run_id == asking.run_id and one.seconds is None


def test_a_second_time_and_in_parts_changes_nothing(engine, asking):
    assert asking.take(asking.responses[:4] + asking.responses[:2]).already == 2
    assert asking.state == "waiting" and asking.counts["queued"] == LABELABLE - 4
    report = asking.take(asking.responses)
    assert (report.taken, report.already, report.left) == (LABELABLE - 4, 4, {asking.run_id: 0})
    before = [label.id for label in stored_labels(engine)]
    with session(engine) as work:
        used = runs.get_run(work, asking.run_id).prompt_tokens
    assert asking.take(asking.responses).already == LABELABLE
    assert [label.id for label in stored_labels(engine)] == before
    with session(engine) as work:
        assert runs.get_run(work, asking.run_id).prompt_tokens == used > 0


def replied(response, text, finish="stop"):
    body = response["response"]["body"]
    choice = body["choices"][0] | {"finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return response | {"response": response["response"] | {"body": body | {"choices": [choice]}}}


def refused(response, status, body=None, error=None):
    return response | {"response": {"status_code": status, "request_id": "x", "body": body}, "error": error}


@pytest.mark.parametrize(("spoil", "kind", "reply"), [
    (lambda it: replied(it, "It is about courts."), "prose", "It is about courts."),
    (lambda it: replied(it, ""), "empty", ""),
    (lambda it: replied(it, '{"label": "a', "length"), "truncated", '{"label": "a'),
    (lambda it: replied(it, "a\x00b\ud800"), "prose", "a\ufffdb?"),
    (lambda it: refused(it, 429, {"error": {"message": "slow\x00 down"}}), "rate limit", ""),
    (lambda it: refused(it, 500, "<html>"), "server", ""),
    (lambda it: refused(it, 400, None, {"error": {"message": "too long", "code": 400}}), "request", ""),
    (lambda it: refused(it, 200, {"choices": []}), "no answer", ""),
    (lambda it: expired(json.dumps(it)), "expired", ""),
    (lambda it: it | {"custom_id": it["custom_id"][:-16] + "0" * 16}, "other prompt", None),
])
def test_an_error_closes_its_feature_with_the_reason_and_never_makes_a_label(engine, asking, spoil, kind, reply):
    report = asking.take([spoil(asking.responses[0]), *asking.responses[1:]])
    assert (report.failed, report.taken, report.broken) == (1, LABELABLE - 1, 0)
    ((found, reason, count),) = asking.failures
    assert (found, count) == (kind, 1) and reason
    assert asking.state == "done"
    assert len(stored_labels(engine)) == LABELABLE - 1
    with session(engine) as work:
        ((_index, item),) = failed_items(work, asking.run_id)
    assert item.reply == (asking.responses[0]["response"]["body"]["choices"][0]["message"]["content"]
                          if reply is None else reply)


def test_failed_features_are_asked_again_by_another_file(engine, server, asking, tmp_path):
    asking.take([refused(response, 500) for response in asking.responses])
    assert asking.counts["failed"] == LABELABLE
    resume(engine, asking.run_id, failed_too=True)
    again = tmp_path / "again"
    again.mkdir()
    second = Asking(engine, server, again, asking.run_id)
    assert second.requests == asking.requests
    assert second.take(second.responses).taken == LABELABLE
    assert second.counts == ALL_DONE


def test_broken_and_foreign_lines_are_counted(engine, asking):
    foreign = [asking.responses[0] | {"custom_id": name} for name in (
        "request-1", "run9999-00000000-1-label-0000000000000000", asking.requests[0]["custom_id"].replace("-", "-0", 1),
        f"run{asking.run_id}-00000000-1-label-0000000000000000", "run99999999999-00000000-1-label-0000000000000000")]
    missing = dict(asking.responses[1])
    missing["custom_id"] = missing["custom_id"].replace(f"-{missing['custom_id'].split('-')[2]}-", "-999999-")
    broken = [json.dumps(asking.responses[2]).encode()[:-20], b"[1, 2]", b"\xff\xfe", b"null", b"{}",
              b"[" * 100_000, json.dumps({"custom_id": asking.responses[2]["custom_id"]}).encode()]
    report = asking.take([*foreign, missing, *broken, b"", asking.responses[3]])
    assert (report.unknown, report.broken, report.taken, report.failed) == (6, 7, 1, 0)
    assert report.broken_at[0] == "responses.jsonl:7"
    assert asking.counts["queued"] == LABELABLE - 1
    assert asking.state == "waiting"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["response", "body", "choices", "message", "content", "usage", "prompt_tokens", "status_code",
                         "error", "code", "label", "finish_reason"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12)


def response_lines(name):
    """Lines of bytes, any JSON, and responses to one request with anything in them."""
    return (st.binary().filter(lambda raw: b"\n" not in raw) | json_values
            | st.fixed_dictionaries({"custom_id": st.just(name), "response": json_values, "error": json_values})
            | json_values.map(lambda body: {"custom_id": name, "response": {"status_code": 200, "body": body}})
            | json_values.map(lambda content: {"custom_id": name, "response": {"status_code": 200, "body": {
                "choices": [{"message": {"content": content}}]}}}))


@given(line=response_lines("run1-01234567-1-label-0123456789abcdef"))
def test_a_line_is_read_or_is_broken(line):
    found = read_line(line if isinstance(line, bytes) else json.dumps(line).encode())
    assert found is None or found.address is None or found.reply.error or found.reply.kind == ""
    if found is not None and found.reply is not None:
        assert unpack(pack({"label": found.reply})) == {"label": found.reply}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_line_whatever_ends_taking_in_or_makes_a_label(engine, asking, data):
    line = data.draw(response_lines(data.draw(st.sampled_from(asking.requests))["custom_id"]))
    report = asking.take([line])
    assert report.taken == 0
    assert report.failed + report.unknown + report.broken <= 1
    assert stored_labels(engine) == []
    if report.failed:
        resume(engine, asking.run_id, failed_too=True)


def test_a_waiting_run_can_be_asked_live_and_late_answers_change_nothing(engine, toy, asking):
    asking.take(asking.responses[:3])
    assert resume(engine, asking.run_id) == LABELABLE - 3
    assert work_run(engine, asking.run_id) == "done"
    assert asking.take(asking.responses).already == LABELABLE
    assert labels_a_feature(engine) == [1] * LABELABLE


def test_what_a_person_wrote_meanwhile_stays(engine, toy, asking):
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 0)[0].id, "mine", author="me")
    asking.take(asking.responses)
    assert labels_of(engine, toy)[0] == "mine"
    assert asking.counts == {"queued": 0, "done": LABELABLE - 1, "failed": 0, "skipped": 2}


def test_two_at_once_do_no_harm(engine, asking, tmp_path):
    files = []
    for number in range(2):
        files.append(tmp_path / f"part{number}.jsonl")
        files[-1].write_text("\n".join(map(json.dumps, asking.responses)))
    troubles = []

    def take(path):
        try:
            take_files(engine, [path])
        except StoreError as error:
            troubles.append(error)

    threads = [threading.Thread(target=take, args=(path,)) for path in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(troubles) < 2
    assert asking.state == "done" and labels_a_feature(engine) == [1] * LABELABLE


def test_a_run_that_somebody_works_on_takes_no_answers(engine, asking):
    lease = Lease(engine, asking.run_id).take()
    with pytest.raises(StoreError, match="being worked on"):
        asking.take(asking.responses)
    lease.give_back()
    assert stored_labels(engine) == [] and asking.state == "waiting"


def test_large_runs_are_split(engine, toy, server, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "MOST_REQUESTS", 4)
    run_id = start_run(engine, toy, config_for(server), EVERYTHING)
    files = write_requests(engine, run_id, tmp_path / "requests.jsonl")
    assert [file.name for file in files] == ["requests-1.jsonl", "requests-2.jsonl", "requests-3.jsonl"]
    lines = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert [len(file.read_bytes().splitlines()) for file in files] == [4, 4, 3]
    assert len({line["custom_id"] for line in lines}) == LABELABLE
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert all(len(line["custom_id"]) <= 64 for line in lines)


@pytest.mark.parametrize(("options", "said"), [
    ({"provider": "embedded"}, "cannot be asked in batches"), ({"model": ""}, "No model"),
    ({"budget_tokens": 10}, "budget")])
def test_what_cannot_be_batched_is_refused(engine, toy, server, tmp_path, options, said):
    run_id = start_run(engine, toy, config_for(server, **options), EVERYTHING)
    with pytest.raises(MistudioError, match=said) as error:
        write_requests(engine, run_id, tmp_path / "requests.jsonl")
    assert error.value.hint
    with session(engine) as work:
        assert work.get(Run, run_id).state == "queued"


def test_no_file_is_written_over_and_no_missing_one_read(engine, toy, server, tmp_path, asking):
    run_id = start_run(engine, toy, config_for(server), EVERYTHING)
    with pytest.raises(MistudioError, match="already"):
        write_requests(engine, run_id, asking.path)
    with pytest.raises(MistudioError, match="cannot be written"):
        write_requests(engine, run_id, tmp_path / "nowhere" / "requests.jsonl")
    with pytest.raises(MistudioError, match="cannot be read"):
        take_files(engine, [tmp_path / "nothing.jsonl"])


def test_batches_have_their_own_price(engine, toy, server, tmp_path):
    server.models.append("gpt-5-mini")
    config = config_for(server, model="gpt-5-mini", base_url="https://api.openai.com/v1")
    asked = Asking(engine, server, tmp_path, start_run(engine, toy, config, EVERYTHING))
    asked.take(asked.responses)
    with session(engine) as work:
        run = runs.get_run(work, asked.run_id)
    assert run.cost == pytest.approx((run.prompt_tokens * 0.25 + run.completion_tokens * 2) / 2e6)
    assert sum(label.cost for label in stored_labels(engine)) == pytest.approx(run.cost)
    assert MODEL not in {label.model for label in stored_labels(engine)}
