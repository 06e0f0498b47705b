"""The shell does what the dashboard does: real commands on a real database."""

import json
import signal
import subprocess
import sys
import threading

import pytest

from mistudio.cli.running import finish
from mistudio.errors import MistudioError
from mistudio.jobs.labeling import start_run
from mistudio.settings import settings
from mistudio.store import Label, Score, runs, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, edit_label
from mistudio.store.scores import add_score
from tests.label.helpers import EVERYTHING, config_for
from tests.servers.answers import plausible
from tests.servers.base import Failure
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.shell import as_json, process, shell, start, use
from tests.tiny import tiny_model, tiny_sae


def name(engine, extraction, **texts):
    with session(engine) as work:
        for index, text in texts.items():
            feature, _label = get_feature(work, extraction, int(index[1:]))
            add_label(work, Label(feature_id=feature.id, text=text, origin="llm"))


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


def test_features_are_listed_and_shown(engine, toy):
    name(engine, toy, f0="digits of years", f5="\x1b[31mred\x07")
    out, _err = shell("features")
    assert "digits of years" in out and "' 1984'" in out
    assert "\x1b" not in out and "\x07" not in out and "\\x1b[31mred" in out
    assert [row["index"] for row in as_json("features", "--features", "unlabeled", "--limit", 2)] == [1, 2]
    assert [row["index"] for row in as_json("features", "--features", "0-2,5", "--sort", "density",
                                            "--descending")] == [5, 2, 1, 0]
    out, _err = shell("show", 0, "--examples", 2)
    assert "Feature 0: digits of years" in out and "<<" in out
    shown = as_json("show", 0, "--examples", 2)
    assert shown["label"]["text"] == "digits of years" and len(shown["examples"]) == 4
    assert shown["examples"][0]["strength"] >= shown["examples"][1]["strength"]


def test_show_previews_the_prompt(toy):
    out, _err = shell("show", 3, "--prompt")
    assert "[system]" in out and " plaintiff" in out
    assert as_json("show", 3, "--prompt", "--provider", "embedded")["template"] == "completion-v2"


def test_prompts_are_listed_and_previewed_with_ones_own_among_them(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "mine.md").write_text("=== system\nName it briefly.\n")
    (tmp_path / "prompts" / "broken.md").write_text("Name it.")
    out, _err = shell("prompts")
    assert "standard-v2" in out and "Name it briefly." in out and "Not usable" in out and "broken" in out
    listed = as_json("prompts")
    hashes = {template["name"]: template["hash"] for template in listed["templates"]}
    assert [template["own"] for template in listed["templates"]] == [True, False]
    for template in ("mine", tmp_path / "prompts" / "mine.md"):
        shown = as_json("show", 3, "--prompt", "--template", template)
        assert shown["hash"] == hashes["mine"] and shown["messages"][0]["content"] == "Name it briefly."
    assert as_json("show", 3, "--prompt")["hash"] == hashes["standard-v2"]
    _out, err = shell("show", 3, "--prompt", "--template", "nowhere", status=1)
    assert "nowhere" in err and "standard-v2" in err


def test_search_by_word_and_by_meaning(engine, toy):
    name(engine, toy, f0="digits of years", f3="court and law terms")
    assert [hit["index"] for hit in as_json("search", "law", "--no-meaning")] == [3]
    assert as_json("search", "legal language")[0]["index"] == 3
    assert "court and law terms" in shell("search", "legal language")[0]
    assert "No label fits." in shell("search", '"(*', "--no-meaning")[0]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_labels_go_out_and_come_in(engine, toy, tmp_path, ending):
    name(engine, toy, f0="digits of years", f3="=court")
    file = tmp_path / f"labels.{ending}"
    assert "2 labels" in shell("export", file)[0]
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shell("import", file, "--db", other, status=1)  # nothing to import into yet
    assert as_json("import", file)["unchanged"] == 2
    file.write_text("feature,label\n99,x\n")
    _out, err = shell("import", file, "--json", status=1)
    assert set(json.loads(err)) == {"error", "hint"}


def test_label_names_every_feature_and_says_how_it_went(engine, toy, server, database_url, monkeypatch):
    monkeypatch.delenv("MISTUDIO_DATABASE_URL")
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 1)[0].id, "mine", author="me")
    out, err = process("label", "--db", database_url, "--features", "all", "--concurrency", 2, *use(server))
    assert "10 labeled, 0 failed, 2 skipped, 0 left" in out
    assert "cost unknown" in err and "Labeling (run 1): 100% 12/12" in err
    assert as_json("show", 1, "--db", database_url)["label"]["text"] == "mine"
    assert as_json("show", 0, "--db", database_url)["label"]["model"] == MODEL
    (run,) = as_json("runs", "--db", database_url)
    assert (run["state"], run["items"]["done"], run["cost"]) == ("done", 10, None)
    assert "unknown" in shell("runs", "--db", database_url)[0]
    assert "sk-test" not in json.dumps(run)


def test_a_larger_model_tries_again_where_labels_are_poor(engine, toy, server, tmp_path):
    name(engine, toy, f0="digits", f3="court", f4="prices")
    with session(engine) as work:
        for index, value in ((0, 0.9), (3, 0.6)):
            label = get_feature(work, toy, index)[1]
            add_score(work, Score(label_id=label.id, method="embedding", judge="x", value=value, n=40), label)
    assert [row["index"] for row in as_json("features", "--score-below", 0.7)] == [3]
    assert as_json("features", "--score-above", 0.7)[0]["label"]["score"] == 0.9
    assert as_json("export", tmp_path / "good.csv", "--score-above", 0.7)["labels"] == 1
    run = as_json("label", "--score-below", 0.7, "--negatives", 0, *use(server))
    assert run["items"]["done"] == 1 and run["config"]["wanted"] == {"labels": "labeled", "score_below": 0.7}
    assert as_json("show", 3)["label"]["model"] == MODEL


def test_failures_are_told_and_retried(toy, server):
    server.answer = lambda _messages: ""
    out, err = shell("label", "--features", "0-2", *use(server), status=1)
    assert "0 labeled, 3 failed" in out and "--retry-failed 1" in err
    server.answer = plausible
    assert as_json("label", "--retry-failed", 1)["items"] == {"queued": 0, "done": 3, "failed": 0, "skipped": 0}


def test_a_refused_key_stops_with_a_message(toy):
    with OpenAIServer(api_key="another") as server:
        _out, err = shell("label", "--features", "0-2", *use(server), status=1)
    assert "key" in err and "--resume 1" in err


def test_ctrl_c_stops_cleanly_and_resume_goes_on(toy, server):
    server.gate = threading.Event()
    process = start("label", "--features", "all", "--concurrency", 2, *use(server))
    server.wait_for_requests(2, timeout=60)
    process.send_signal(signal.SIGINT)
    stopping = process.stderr.readline()
    while "Stopping" not in stopping:
        stopping = process.stderr.readline()
    assert as_json("runs")[0]["state"] == "running"
    server.gate.set()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert "cancelled" in out and "--resume 1" in err
    before = as_json("runs")[0]["items"]
    assert before["queued"] > 0 and before["failed"] == 0
    after = as_json("label", "--resume", 1)
    assert after["state"] == "done" and after["items"] == {"queued": 0, "done": 11, "failed": 0, "skipped": 1}
    assert len(server.requests) == 11


def test_ctrl_c_while_another_program_locks_the_database_stops_when_it_is_free(engine, toy, server):
    server.gate = threading.Event()
    process = start("label", "--features", "all", "--concurrency", 2, "--negatives", 0, *use(server))
    server.wait_for_requests(2, timeout=60)
    with engine.connect() as another:
        another.exec_driver_sql("BEGIN IMMEDIATE")
        process.send_signal(signal.SIGINT)
        said = process.stderr.readline()
        while "stops when it can be" not in said:
            assert said, "it has ended"
            said = process.stderr.readline()
        another.rollback()
    while "Stopping" not in said:
        assert said, "it has ended"
        said = process.stderr.readline()
    server.gate.set()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert "cancelled" in out and "--resume 1" in err and "Error" not in err


@pytest.mark.parametrize(("arguments", "says"), [
    (("features", "--extraction", "9"), "no extraction 9"),
    (("features", "--features", "5-1"), "backwards"),
    (("features", "--features", "nonsense"), "nonsense"),
    (("features", "--sort", "beauty"), "beauty"),
    (("features", "--db", "mongodb://x"), "not valid"),
    (("show", "99"), "no feature 99"),
    (("label", "--provider", "openai"), "No model is chosen"),
    (("label", "--provider", "magic"), "provider"),
    (("label", "--provider", "ollama", "--model", "x", "--base-url", "http://127.0.0.1:9"), "127.0.0.1:9"),
    (("label", "--temperature", "9"), "temperature"),
    (("label", "--resume", "7"), "no run 7"),
    (("label", "--features", "0-99"), "no feature 99"),
    (("extract", "--model", "no/where", "--sae", "x", "--tokens", "1"), "tokens"),
    (("extract", "--model", "no/where", "--sae", "no/where"), "no/where"),
    (("extract", "--model", "no/where", "--sae", "x", "--context-length", "2"), "context_length"),
    (("import", "missing.csv"), "missing.csv"),
    (("export", "labels.doc"), "labels.doc"),
])
def test_mistakes_get_a_message_and_a_status(toy, arguments, says):
    _out, err = shell(*arguments, status=1)
    assert says in err


def test_extract_reads_tokenised_rows_at_another_hook_point(database_url, tmp_path):
    tokens = [[(row * 7 + place) % 200 + 2 for place in range(30)] for row in range(120)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps({'ids': row})}\n" for row in tokens))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text((tmp_path / "rows.jsonl").read_text())
    options = ("--model", tiny_model(tmp_path / "model"), "--sae", tiny_sae(tmp_path / "sae"), "--tokens", 1000,
               "--tokens-column", "ids", "--hook-point", "blocks.0.hook_mlp_out", "--pack", "--no-prepend-bos")
    for corpus in ("rows.jsonl", "set"):
        found = as_json("extract", "--corpus", tmp_path / corpus, *options)
        assert found["hook_point"] == "layers.0.mlp" and 1000 <= found["tokens"] < 1024
    _out, err = shell("extract", "--corpus", tmp_path / "set", *options, "--text-column", "nothing",
                      "--tokens-column", "nothing", status=1)
    assert "no column 'nothing'" in err and "--tokens-column" in err


def test_an_empty_database_says_what_to_do(database_url):
    _out, err = process("features", status=1)
    assert "python -m mistudio demo" in err
    assert as_json("runs") == []


def test_looking_needs_no_torch(engine, toy, database_url):
    name(engine, toy, f0="digits")
    for arguments in (["features"], ["show", "0"], ["runs"], ["search", "digits", "--no-meaning"]):
        script = (f"import sys; sys.argv = ['mistudio', *{arguments!r}]\n"
                  "from mistudio.__main__ import main\n"
                  "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
                  "assert not {'torch', 'transformers', 'streamlit'} & set(sys.modules)")
        subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_a_server_that_breaks_is_a_failed_item(toy, server):
    server.answer = lambda _messages: Failure(400, "this prompt is not wanted")
    result = as_json("label", "--features", "0", *use(server), status=1)
    assert result["items"]["failed"] == 1 and "not wanted" in result["failures"][0]["reason"]


def test_a_run_that_another_program_took_a_moment_ago_is_told(engine, toy, server):
    run_id = start_run(engine, toy, config_for(server, negatives=0), EVERYTHING)
    with session(engine) as work:
        assert runs.take_lease(work, run_id, "another")
    with pytest.raises(MistudioError, match="not waiting for a worker") as told:
        finish(engine, run_id, as_json=False)
    assert "being worked on" in told.value.hint
    assert not server.requests
