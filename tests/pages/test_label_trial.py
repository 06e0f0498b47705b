"""One feature tried before a run: all of it is shown, and nothing is stored unless its label is kept."""

from mistudio.store import Label, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, history
from tests.pages import html, visit, words
from tests.pages.labeling import chosen, press
from tests.servers.base import Failure

ANSWER = '{"label": "<b>years</b>", "explanation": "Numbers of years.", "kind": "number", "confidence": 0.9}'


def labels_of(engine, extraction_id, index):
    with session(engine) as work:
        return history(work, get_feature(work, extraction_id, index)[0].id)


def test_a_trial_shows_everything_beside_the_examples_and_stores_nothing(engine, toy, server):
    server.replies.append(ANSWER)
    test = chosen(server, "3-5")
    assert test.number_input(key="trial_feature").value == 3, "the first of those that are to be labeled"
    press(test, "Try it")
    page, said = html(test), words(test).replace("\\", "")
    assert "&lt;b&gt;years&lt;/b&gt;" in page and "Numbers of years." in page and "ms-examples" in page
    assert "Time: " in said and "of the prompt" in said and "Cost: unknown price" in said
    assert any(code.value == ANSWER for code in test.code), "the raw reply"
    assert not labels_of(engine, toy, 3) and len(server.requests) == 1
    assert "unknown until" not in said, "now the time of a run can be told"


def test_what_was_tried_can_be_kept(engine, toy, server):
    server.replies.append(ANSWER)
    test = press(press(chosen(server, "3-5"), "Try it"), "Keep this label")
    assert [(label.text, label.reply) for label in labels_of(engine, toy, 3)] == [("<b>years</b>", ANSWER)]
    assert "Kept." in words(test) and not [found for found in test.button if found.label == "Keep this label"]


def test_a_kept_label_does_not_replace_a_persons(engine, toy, server):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 3)
        add_label(work, Label(feature_id=feature.id, text="mine", origin="human"))
    press(press(chosen(server, "3-5"), "Try it"), "Keep this label")
    with session(engine) as work:
        assert get_feature(work, toy, 3)[1].text == "mine"
    assert len(labels_of(engine, toy, 3)) == 2


def test_a_trial_that_fails_says_why_and_what_came(engine, toy, server):
    test = chosen(server, "3-5")
    server.answer = lambda _messages: "I'd rather <b>not</b> say."
    press(test, "Try it")
    assert test.error and any("rather <b>not</b> say" in code.value for code in test.code)
    server.answer = lambda _messages: Failure(429, "You exceeded your quota.", code="insufficient_quota")
    press(test, "Try it")
    assert "quota is used up" in test.error[0].value and "billing" in test.error[0].value
    server.models = ["another"]
    press(test, "Try it")
    assert "has no model 'gpt-test'" in test.error[0].value.replace("\\", "") and "Choose one" in test.error[0].value
    assert not labels_of(engine, toy, 3)


def test_another_feature_is_one_click_away(engine, toy, server):
    test = chosen(server, "0,5,11")
    press(test, "Another")
    assert test.number_input(key="trial_feature").value == 5
    press(test, "Another")
    assert test.number_input(key="trial_feature").value == 0, "11 is dead, so it begins again"


def test_the_prompt_follows_the_options(engine, toy):
    test = visit("label")
    test.segmented_control(key="trial_view").set_value("Prompt").run()
    before = test.code[0].value
    assert "court" in before or "7" in before
    test.radio(key="provider").set_value("ollama").run()
    assert "Silent windows" in test.code[0].value, "every provider gets its own"
    test.number_input(key="LabelConfig_negatives").set_value(0).run()
    assert "Silent windows" not in test.code[0].value.split("[user]")[-1]


def test_the_key_is_in_no_table(engine, toy, server, tmp_path):
    press(press(chosen(server, "3-5"), "Try it"), "Keep this label")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-right" in path.read_bytes()]
