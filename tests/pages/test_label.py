"""Label: against a real OpenAI-protocol server, through the real client and the real background run."""

import threading

import pytest

from mistudio.batch.requests import write_requests
from mistudio.jobs.labeling import start_run
from mistudio.label.config import LabelConfig
from mistudio.settings import settings
from mistudio.store import Label, Score, session
from mistudio.store.features import FeatureFilter, get_feature, list_features
from mistudio.store.labels import add_label
from mistudio.store.runs import get_run, list_runs, run_counts
from mistudio.store.scores import add_score
from mistudio.ui import filters
from tests.pages import html, visit, words
from tests.servers.openai_server import MODEL, OpenAIServer


@pytest.fixture
def server():
    with OpenAIServer(api_key="sk-right") as running:
        yield running


def choose(test, server, key="sk-right"):
    """Fill in provider, address and key, and ask the server for its models."""
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="base_url_openai").set_value(server.base_url).run()
    test.text_input(key="api_key").set_value(key).run()
    return press(test, "Test connection")


def press(test, name):
    next(button for button in test.button if button.label.startswith(name)).click().run()
    assert not test.exception
    return test


def wait_for_run(run_id):
    for thread in threading.enumerate():
        if thread.name == f"run-{run_id}":
            thread.join(60)


def test_what_a_run_takes_is_said_before_it_starts(engine, toy):
    test = visit("label")
    said = words(test)
    assert "11 features to label" in said and "1 more match and will be skipped" in said
    assert "runs on your machine" in said and "$0" not in said
    assert any(button.label == "Label 11 features" for button in test.button)


def test_a_chosen_model_labels_the_chosen_features(engine, toy, server):
    test = choose(visit("label"), server)
    assert "offers 1 model" in test.success[0].value
    test.selectbox(key="model_list_openai").select(MODEL).run()
    assert "unknown price" in words(test)
    test.segmented_control(key="what_features").set_value("chosen").run()
    test.text_input(key="chosen_features").set_value("0-2,11").run()
    press(test, "Label 3 features")
    wait_for_run(1)
    test.run()
    with session(engine) as work:
        assert run_counts(work, 1) == {"queued": 0, "done": 3, "failed": 0, "skipped": 1}
        labeled = [label.text for _feature, label in list_features(work, toy, FeatureFilter(labels="labeled"))]
        assert "sk-right" not in str(get_run(work, 1).model_dump())
    assert labeled[0] in html(test) and "ms-landed" in html(test)
    assert {metric.label: metric.value for metric in test.metric}["Labeled"] == "3"
    assert "Run 1 done" in "".join(found.value for found in test.sidebar.markdown), "the end is told on every page"


def test_a_refused_key_is_a_message_and_nothing_starts(engine, toy, server):
    test = choose(visit("label"), server, key="sk-wrong")
    assert "key" in test.error[0].value.lower()
    with session(engine) as work:
        assert not list_runs(work)


def test_failures_are_grouped_and_can_be_retried(engine, toy, server):
    server.answer = lambda _messages: "I'd rather <b>not</b> say."
    test = choose(visit("label"), server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    press(test, "Label 11 features")
    wait_for_run(1)
    test.run()
    with session(engine) as work:
        assert run_counts(work, 1)["failed"] == 11
        assert get_feature(work, toy, 0)[1] is None, "a failure is never a label"
    assert "11 × prose" in words(test).replace("\\", ""), "grouped by reason"
    assert any("rather <b>not</b> say" in code.value for code in test.code), "the raw reply can be read"
    server.answer = OpenAIServer().answer
    press(test, "Retry 11 failed")
    wait_for_run(1)
    with session(engine) as work:
        assert run_counts(work, 1)["done"] == 11


def test_a_running_job_can_be_cancelled_and_resumed(engine, toy, server):
    server.gate = threading.Event()
    test = choose(visit("label"), server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    test.number_input(key="LabelConfig_concurrency").set_value(2).run()
    press(test, "Label 11 features")
    server.wait_for_requests(2)
    test.run()
    assert "Labeling" in test.sidebar.get("progress")[0].text, "every page shows the running job"
    press(test, "Cancel")
    server.gate.set()
    wait_for_run(1)
    test.run()
    with session(engine) as work:
        assert get_run(work, 1).state == "cancelled"
    press(test, "Resume")
    wait_for_run(1)
    with session(engine) as work:
        assert get_run(work, 1).state == "done" and run_counts(work, 1)["done"] == 11


def test_the_filter_of_browse_is_taken_over(engine, toy):
    test = visit("label", what="filter", only=filters.to_url(FeatureFilter(states=("live",), max_density=0.004)))
    assert "From Browse: live, density at most 0.4%" in words(test).replace("\\", "")
    assert any(button.label == "Label 4 features" for button in test.button)


def test_poor_labels_are_chosen_by_their_score(engine, toy):
    with session(engine) as work:
        for index, value in ((1, 0.5), (2, 0.6), (3, 0.9), (4, None)):
            label = Label(feature_id=get_feature(work, toy, index)[0].id, text=f"label {index}", origin="llm")
            add_label(work, label)
            if value is not None:
                add_score(work, Score(label_id=label.id, method="detection", judge="x", value=value, n=40), label)
    test = visit("label", what="score")
    assert any(button.label == "Label 3 features" for button in test.button), "those without a score are left out"
    test.select_slider(key="score").set_range("0", "0.7").run()
    assert any(button.label == "Label 2 features" for button in test.button)


def test_rubbish_in_the_address_or_the_selection_is_a_message(engine, toy):
    assert "cannot be read" in visit("label", what="filter", only="nonsense=1").error[0].value
    test = visit("label")
    test.segmented_control(key="what_features").set_value("chosen").run()
    test.text_input(key="chosen_features").set_value("0-99").run()
    assert "no feature 99" in test.error[0].value


def test_the_prompt_can_be_read_before_anyone_is_asked(engine, toy):
    test = visit("label")
    test.session_state["preview_open"] = True
    test.run()
    assert any("court" in code.value or "7" in code.value for code in test.code)


def test_regenerating_makes_a_new_label_and_can_be_undone(engine, toy, server):
    test = visit("review", queue="Unlabeled", f=1)
    choose(test, server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    press(test, "Label it")
    with session(engine) as work:
        first = get_feature(work, toy, 1)[1]
    assert first.text in html(test)
    server.replies.append('{"label": "another name", "explanation": "e", "kind": "token", "confidence": 0.5}')
    press(test, "Regenerate")
    with session(engine) as work:
        second = get_feature(work, toy, 1)[1]
    assert second.text == "another name" and "another name" in html(test)
    assert not set(first.evidence["examples"]) & set(second.evidence["examples"]) or second.evidence["note"]
    press(test, "Undo")
    with session(engine) as work:
        assert get_feature(work, toy, 1)[1].id == first.id


def test_a_failed_regeneration_leaves_the_label_alone(engine, toy, server):
    test = choose(visit("review", queue="Unlabeled", f=1), server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    press(test, "Label it")
    server.answer = lambda _messages: ""
    press(test, "Regenerate")
    assert test.error
    with session(engine) as work:
        assert get_feature(work, toy, 1)[1] is not None


def test_a_prompt_of_ones_own_can_be_chosen(engine, toy, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "mine.md").write_text("=== system\nName it briefly.\n")
    test = choose(visit("label"), server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    assert test.selectbox(key="prompt_template").options == ["mine", "standard-v2"]
    test.selectbox(key="prompt_template").select("mine").run()
    press(test, "Label 11 features")
    wait_for_run(1)
    with session(engine) as work:
        assert get_run(work, 1).config["prompt"] == "mine"
        _feature, label = get_feature(work, toy, 3)
        assert label.prompt == "mine"
    assert all(request["messages"][0]["content"] == "Name it briefly." for request in server.requests)


def test_a_run_that_waits_for_files_says_so_and_can_be_asked_here(engine, toy, server, tmp_path):
    config = LabelConfig(provider="openai", model=MODEL, base_url=server.base_url)
    run_id = start_run(engine, toy, config, FeatureFilter(indices=(0, 1)))
    write_requests(engine, run_id, tmp_path / "requests.jsonl")
    test = visit("label")
    assert any(f"Run {run_id} · labeling · waiting" in expander.label for expander in test.expander)
    assert any("answers that come as files" in info.value for info in test.info) and not test.error
    assert any(button.label == "Ask here instead (2 left)" for button in test.button)
