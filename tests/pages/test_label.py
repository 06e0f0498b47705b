"""Label: against a real OpenAI-protocol server, through the real client and the real background run."""

from mistudio.settings import settings
from mistudio.store import Label, Score, session
from mistudio.store.features import FeatureFilter, get_feature, list_features
from mistudio.store.labels import add_label
from mistudio.store.runs import get_run, list_runs, run_counts
from mistudio.store.scores import add_score
from mistudio.ui import filters
from tests.pages import html, unescaped, visit, words
from tests.pages.labeling import button, choose, chosen, press, wait_for_run
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import MODEL


def test_what_a_run_takes_is_said_before_it_starts(engine, toy):
    test = visit("label")
    said = words(test)
    assert "11 features to label" in said and "1 more match and will be skipped" in said
    assert "runs on your machine" in said and "$0" not in said
    assert any(button.label == "Label 11 features" for button in test.button)


def test_a_chosen_model_labels_the_chosen_features(engine, toy, server):
    test = chosen(server, "0-2,11")
    assert "unknown price" in words(test)
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


def test_a_tested_connection_is_told_in_words(engine, toy, server):
    server.models = ["gpt-b", "gpt-a"]
    test = choose(visit("label"), server)
    assert button(test, "Label 11 features").disabled and "Choose a model" in words(test)
    said = unescaped(test.success[0].value)
    assert "offers 2 models: gpt-a, gpt-b" in said and f"{server.base_url} answered in" in said


def test_a_typed_model_is_kept_also_where_the_server_does_not_list_it(engine, toy, server):
    test = visit("label")
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="model_openai").set_value("gpt-c").run()
    choose(test, server)
    assert test.selectbox(key="model_list_openai").value == "gpt-c"
    assert "does not list gpt-c" in test.warning[0].value.replace("\\", "")
    assert not button(test, "Label 11 features").disabled


def test_a_server_that_does_not_answer_is_told_with_what_to_do(engine, toy, server):
    # The one that is there first, for a port that is free again may be the next one's.
    with OllamaServer(models=["one:latest"]) as there:
        with OllamaServer() as gone:
            address = gone.url
        test = visit("label")
        test.radio(key="provider").set_value("ollama").run()
        test.text_input(key="base_url_ollama").set_value(address).run()
        press(test, "Test connection")
        assert "not running" in test.error[0].value and "ollama serve" in test.error[0].value
        test.text_input(key="base_url_ollama").set_value(there.url).run()
        assert not test.error, "a result belongs to the address it came from"
        press(test, "Test connection")
        assert test.selectbox(key="model_list_ollama").value == "one:latest", "the only one is taken"
        there.models = []
        press(test, "Test connection")
        assert "has no model yet" in test.warning[0].value and "ollama pull" in test.warning[0].value


def test_an_address_that_lists_no_models_says_how_it_should_end(engine, toy, server):
    test = visit("label")
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="base_url_openai").set_value(server.url).run()
    test.text_input(key="api_key").set_value("sk-right").run()
    press(test, "Test connection")
    assert "lists no models" in test.error[0].value and "/v1" in test.error[0].value


def test_openai_needs_no_more_than_a_key(engine, toy):
    test = visit("label")
    test.radio(key="provider").set_value("openai").run()
    assert button(test, "Label 11 features").disabled and "Type an API key" in words(test)
    test.text_input(key="api_key").set_value("sk-typed").run()
    assert not button(test, "Label 11 features").disabled
    said = words(test).replace("\\", "")
    assert "Cost: **$0.0" in said, "the usual model has a price"


def test_a_budget_stands_beside_the_price_and_says_how_far_it_reaches(engine, toy):
    test = visit("label")
    assert not [box for box in test.number_input if "Budget (US" in box.label], "nobody is paid"
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="api_key").set_value("sk-typed").run()
    test.number_input(key="LabelConfig_budget_dollars").set_value(0.001).run()
    assert "Enough for about" in words(test) and "of 11 features" in words(test)


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
    test = chosen(server)
    assert test.selectbox(key="prompt_template").options == ["mine", "standard-v2"]
    test.selectbox(key="prompt_template").select("mine").run()
    press(test, "Label 11 features")
    wait_for_run(1)
    with session(engine) as work:
        assert get_run(work, 1).config["prompt"] == "mine"
        _feature, label = get_feature(work, toy, 3)
        assert label.prompt == "mine"
    assert all(request["messages"][0]["content"] == "Name it briefly." for request in server.requests)
