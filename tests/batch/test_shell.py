"""The same through the shell."""

import json

from mistudio.store.features import FeatureFilter
from tests.label.helpers import LABELABLE, config_for, run_all
from tests.servers.batch_api import answer
from tests.shell import as_json, shell, use
from tests.toy import add_toy_extraction


def answered(server, path):
    responses = path.with_name("responses.jsonl")
    responses.write_text("".join(
        json.dumps(answer(line, lambda body: server.post("/v1/chat/completions", {}, body)[:2])) + "\n"
        for line in path.read_text(encoding="utf-8").splitlines()))
    return responses


def test_labels_by_file(engine, toy, server, tmp_path):
    out, err = shell("label", "--features", "all", "--batch-out", tmp_path / "requests.jsonl", *use(server))
    assert "Run 1 waiting" in out and f"{LABELABLE} features to answer" in out
    assert "--batch-in" in err
    responses = answered(server, tmp_path / "requests.jsonl")
    lines = responses.read_text().splitlines()
    halves = [tmp_path / "half1.jsonl", tmp_path / "half2.jsonl"]
    halves[0].write_text("\n".join(lines[:5]))
    halves[1].write_text("\n".join(lines[5:]) + "\n{broken")
    out, _err = shell("label", "--batch-in", *halves, status=1)
    assert "11 taken, 0 failed, 0 already there, 0 unknown, 1 broken (half2.jsonl:7)" in out and "Run 1 done" in out
    assert as_json("label", "--batch-in", responses)["already"] == LABELABLE


def test_scores_by_file(engine, server, tmp_path):
    extraction = add_toy_extraction(engine, references=120)
    run_all(engine, extraction, config_for(server), FeatureFilter(indices=(0, 1)))
    shell("score", "--no-embedding", "--batch-out", tmp_path / "requests.jsonl", *use(server))
    assert "Run 2 done" in shell("score", "--batch-in", answered(server, tmp_path / "requests.jsonl"))[0]
    assert {row["method"] for row in as_json("report")["methods"]} == {"detection", "fuzzing"}


def test_what_does_not_go_together_is_refused(toy, server, tmp_path):
    out = tmp_path / "requests.jsonl"
    for arguments in (("--batch-out", out, "--batch-submit", *use(server)), ("--batch-in", out, "--model", "x"),
                      ("--batch-out", out)):
        _out, err = shell("label", *arguments, status=1)
        assert err.startswith("Error: ")
    assert not out.exists()


def test_batches_of_a_server(toy, server):
    out, err = shell("label", "--features", "all", "--batch-submit", *use(server))
    assert "Run 1 waiting: 1 batches" in out and "--batch-status 1" in err
    server.batches.end("batch_0")
    found = as_json("label", "--batch-status", 1)
    assert (found["taken"], found["batches"][0]["state"]) == (LABELABLE, "completed")


def test_requests_of_a_stopped_run_can_be_written(toy, server, tmp_path):
    shell("label", "--features", "all", "--batch-out", tmp_path / "one.jsonl", *use(server))
    shell("label", "--resume", 1, "--batch-out", tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
