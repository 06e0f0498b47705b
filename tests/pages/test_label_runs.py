"""Runs on the Label page: as they happen, when they end, and long after."""

import threading

from mistudio.batch.requests import write_requests
from mistudio.jobs.labeling import start_run
from mistudio.label.config import LabelConfig
from mistudio.store import session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.runs import get_run, run_counts
from tests.pages import html, unescaped, visit, words
from tests.pages.labeling import button, chosen, press, wait_for_run
from tests.servers.openai_server import MODEL, OpenAIServer


def test_failures_are_grouped_and_can_be_retried(engine, toy, server):
    server.answer = lambda _messages: "I'd rather <b>not</b> say."
    test = chosen(server)
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
    test = chosen(server)
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


def test_a_run_that_waits_for_files_says_so_and_can_be_asked_here(engine, toy, server, tmp_path):
    config = LabelConfig(provider="openai", model=MODEL, base_url=server.base_url)
    run_id = start_run(engine, toy, config, FeatureFilter(indices=(0, 1)))
    write_requests(engine, run_id, tmp_path / "requests.jsonl")
    test = visit("label")
    assert any(f"Run {run_id} · labeling · waiting" in expander.label for expander in test.expander)
    assert any("answers that come as files" in info.value for info in test.info) and not test.error
    assert any(button.label == "Ask here instead (2 left)" for button in test.button)


def test_a_run_that_used_up_its_budget_goes_on_with_a_larger_one(engine, toy, server):
    test = chosen(server)
    test.number_input(key="LabelConfig_budget_tokens").set_value(1500).run()
    press(test, "Label 11 features")
    wait_for_run(1)
    test.run()
    with session(engine) as work:
        assert get_run(work, 1).state == "paused" and run_counts(work, 1)["queued"] > 0
    assert "used up" in test.info[0].value
    test.number_input(key="budget_tokens-1").set_value(1_000_000).run()
    press(test, "Resume")
    wait_for_run(1)
    with session(engine) as work:
        assert get_run(work, 1).state == "done" and run_counts(work, 1)["done"] == 11


def test_a_past_run_tells_its_settings_and_can_be_repeated(engine, toy, server):
    config = LabelConfig(provider="openai", model="gpt-old", base_url=server.base_url, examples=7, factual=True,
                         budget_tokens=9)
    start_run(engine, toy, config, FeatureFilter(indices=(0, 1, 2, 7)))
    with session(engine) as work:
        get_run(work, 1).state = "cancelled"
    test = visit("label")
    test.session_state["past-1"] = True
    test.run()
    said = unescaped(words(test))
    assert f"openai gpt-old at {server.base_url}" in said and "Features: 0-2,7" in said
    assert "Examples shown 7" in said and "One-token features by statistics" in said and "4 queued" in said
    press(test, "Repeat with these settings")
    assert test.radio(key="provider").value == "openai" and test.text_input(key="model_openai").value == "gpt-old"
    assert test.text_input(key="base_url_openai").value == server.base_url
    assert test.text_input(key="chosen_features").value == "0-2,7"
    assert test.number_input(key="LabelConfig_examples").value == 7
    assert test.toggle(key="LabelConfig_factual").value is True
    assert test.number_input(key="LabelConfig_budget_tokens").value == 9
    assert button(test, "Label 4 features") and not server.requests, "nothing starts by itself"


def test_a_filter_is_repeated_too(engine, toy, server):
    config = LabelConfig(provider="ollama", model="m")
    start_run(engine, toy, config, FeatureFilter(states=("live",), max_density=0.004))
    with session(engine) as work:
        get_run(work, 1).state = "cancelled"
    test = visit("label")
    test.session_state["past-1"] = True
    test.run()
    press(test, "Repeat with these settings")
    assert "From Browse: live, density at most 0.4%" in words(test).replace("\\", "")


def test_a_run_stays_in_view_when_the_page_is_loaded_again(engine, toy, server):
    test = chosen(server, "0-2")
    press(test, "Label 3 features")
    wait_for_run(1)
    assert test.query_params["run"] == ["1"] or test.query_params["run"] == "1"
    again = visit("label", run=1)
    assert "ms-landed" in html(again) and "Run 1** · labeling · done" in words(again)
    assert "Newest" not in words(visit("label", run=99)) and "Newest" not in words(visit("label", run="x"))


def test_the_end_of_a_run_is_told_until_it_is_closed(engine, toy, server):
    server.gate = threading.Event()
    test = press(chosen(server, "0-2"), "Label 3 features")
    server.wait_for_requests(3)
    server.gate.set()
    wait_for_run(1)
    test.switch_page("pages/browse.py").run()
    told = "".join(found.value for found in test.sidebar.markdown)
    assert "Run 1 done" in told and "3 labeled" in told
    test.button(key="forget-run").click().run()
    assert "Run 1" not in "".join(found.value for found in test.sidebar.markdown)
