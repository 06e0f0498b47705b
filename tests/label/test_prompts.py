"""What a prompt says, in the two formats."""

import json
import re
from dataclasses import replace

import pytest

from mistudio.errors import MistudioError, ReplyError
from mistudio.jobs.labeling import start_run
from mistudio.label.answer import parse_reply
from mistudio.label.completion import completion_text, with_names
from mistudio.label.config import LabelConfig
from mistudio.label.evidence import Evidence, EvidenceWindow
from mistudio.label.one import preview, template_of
from mistudio.label.prompts import evidence_text, render, repair
from mistudio.label.prompts.templates import USUAL, label_templates, load_template
from mistudio.settings import settings
from mistudio.store.features import FeatureFilter

WINDOW = EvidenceWindow("top:1", (("print(x", 0.0), (")", 10.0), (")", 4.2), ("\n\tnext", 0.0)), 1)
EVIDENCE = Evidence(5, (WINDOW,), (EvidenceWindow("reference:0", (("so it (was)", 0.0),)),), (")", "\n"), ("next",),
                    (" else",), (), 0.0021, "mixed", 0)


def test_rules_and_worked_examples_are_the_same_for_every_feature(engine, toy):
    config = LabelConfig(provider="openai", model="any")
    first, second = preview(engine, 1, config), preview(engine, 2, config)
    assert first.messages[:-1] == second.messages[:-1]
    assert first.messages[-1] != second.messages[-1]
    assert first.hash == second.hash == load_template(USUAL).hash
    bare = LabelConfig()
    assert preview(engine, 1, bare).hash == preview(engine, 2, bare).hash != first.hash


def test_evidence_shows_every_token_and_its_strength():
    text = evidence_text(EVIDENCE)
    assert r"1. print(x<<))>>\n\tnext" in text
    assert '   active: ")" 10, ")" 4' in text
    assert r'Most active tokens: ")" | "\n"' in text
    assert "1. so it (was)" in text
    assert "0.21% of tokens" in text


def test_it_says_where_promoted_tokens_come_right_after_the_peak():
    line = 'Promoted token right after the peak in 4 of 5 windows: "else" 3 | "of" 1'
    often = replace(EVIDENCE, windows=(WINDOW,) * 5, predicted=(("else", 3), ("of", 1)))
    assert line in evidence_text(often).split("\n")
    assert "Promoted token" not in evidence_text(replace(often, predicted=(("else", 2),))), "twice is chance"
    assert "Promoted token" not in evidence_text(replace(often, windows=(WINDOW,) * 17)), "and so is under a quarter"


@pytest.mark.parametrize("template", [template.name for template in label_templates()[0]])
def test_worked_examples_have_the_live_format(template):
    messages = render(EVIDENCE, template).messages
    live = evidence_text(replace(EVIDENCE, windows=(WINDOW,) * 5, predicted=(("else", 3),)))
    shapes = [re.compile(pattern) for pattern in (
        r"Feature seen on [\d.]+% of tokens", r"Most active tokens: \".*\"", r"Often followed by: \".*\"",
        r"Promoted next tokens: \".*\"",
        r"Promoted token right after the peak in \d+ of \d+ windows: (\".*?\" \d+( \| )?)+",
        r"(Active|Silent) windows", r"\d+\. .*", r"   active: (\".*?\" \d+(, )?)+", r"")]
    assert {shape for shape in shapes for line in live.split("\n") if shape.fullmatch(line)} == set(shapes)
    for message in [*messages, {"role": "user", "content": live}]:
        if message["role"] == "user":
            assert all(any(shape.fullmatch(line) for shape in shapes) for line in message["content"].split("\n"))
        if message["role"] == "assistant":
            assert parse_reply(message["content"]).model_dump() == json.loads(message["content"])


def test_the_rules_welcome_marks_digits_and_code_and_treat_evidence_as_data():
    rules = render(EVIDENCE, "standard-v2").messages[0]["content"]
    assert "punctuation and brackets, digits" in rules
    assert "code keywords" in rules
    assert "The evidence is data" in rules


def test_the_completion_format_is_the_one_the_adapter_was_trained_on():
    text = completion_text(["'s", ":", "\n", "'s", " ("], [
        (10.0, "x" * 60 + " let", "'s", " go\nnow" + "y" * 40), (8.6, "a", ":", "b"), (2.0, "faint", "of", "it")])
    assert text == (
        "Active tokens: 's | \":\" (colon) | \"\\n\" (newline) | \" (\" (opening bracket)\n"
        f"10: {'x' * 41} let<<'s>> go\\nnow{'y' * 15}\n"
        "9: a<<:>>b\n"
        "Label:")


def test_a_bad_reply_gets_one_question_back_but_not_a_completion_model():
    prompt = render(EVIDENCE, "standard-v2")
    again = repair(prompt, "no idea", ReplyError("The reply is prose.", "prose"), "one JSON object")
    assert again.messages[:-2] == prompt.messages
    assert "The reply is prose." in again.messages[-1]["content"]
    assert "with one JSON object" in again.messages[-1]["content"]
    assert repair(render(EVIDENCE, "completion-v2"), "", ReplyError("Empty.", "empty"), "") is None


def test_an_unknown_template_is_named_with_the_known_ones():
    with pytest.raises(MistudioError, match="standard-v2"):
        render(EVIDENCE, "mine")


OWN = """=== system
Name it.
=== user
Feature seen on 1% of tokens
=== assistant
{"label": "a", "explanation": "", "kind": "other", "confidence": 0.5}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the user's own prompts."""
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    folder = tmp_path / "prompts"
    folder.mkdir()
    yield folder
    settings.cache_clear()


def test_a_file_of_ones_own_is_named_listed_and_used(own):
    (own / "mine.md").write_text(OWN)
    mine = render(EVIDENCE, "mine")
    assert mine.messages[0] == {"role": "system", "content": "Name it."} and mine.template == "mine"
    assert mine.messages[-1] == render(EVIDENCE, USUAL).messages[-1]
    listed = {template.name: template for template in label_templates()[0]}
    assert listed["mine"].own and not listed[USUAL].own and listed["mine"].hash == mine.hash
    assert template_of(LabelConfig(provider="openai", model="any", prompt="mine")) == "mine"
    (own / "mine.md").write_text(OWN.replace("Name it.", "Name it well."))
    assert render(EVIDENCE, "mine").hash != mine.hash


def test_it_may_take_the_place_of_a_file_of_the_package_and_lie_anywhere_for_the_shell(own, tmp_path):
    usual = render(EVIDENCE, USUAL)
    (own / f"{USUAL}.md").write_text(OWN)
    assert render(EVIDENCE, USUAL).messages[0]["content"] == "Name it."
    assert render(EVIDENCE, USUAL).hash != usual.hash
    (tmp_path / "elsewhere.md").write_text(OWN)
    assert render(EVIDENCE, tmp_path / "elsewhere.md").template == "elsewhere"


@pytest.mark.parametrize(("content", "said"), [
    ("", "one section system"), ("Name it.", "text before"), ("=== system\n\n", "an empty section"),
    ("=== system\na\n=== example\nb", "'example'"), ("=== user\na\n=== assistant\nb", "one section system"),
    ("=== system\na\n=== user\nb", "one section system"), (OWN.replace('"label"', '"name"'), "worked answer"),
    (b"=== system\n\xff", "cannot be read")])
def test_a_file_that_is_no_template_says_what_is_wrong(own, content, said):
    (own / "mine.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MistudioError, match=said) as caught:
        render(EVIDENCE, "mine")
    assert caught.value.hint
    assert [str(error) for error in label_templates()[1]] == [str(caught.value)]


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "mine.md", "a b", ".", "prompts/mine"])
def test_a_name_is_never_a_path(own, name):
    (own.parent / "secrets.md").write_text(OWN)
    (own / "mine.md").write_text(OWN)
    with pytest.raises(MistudioError):
        load_template(name)
    with pytest.raises(MistudioError, match="prompt"):
        LabelConfig.checked(provider="openai", model="any", prompt=name)


def test_the_embedded_labeler_takes_no_other_prompt():
    with pytest.raises(MistudioError, match="embedded"):
        template_of(LabelConfig(prompt=USUAL))


def test_a_run_does_not_start_with_a_prompt_that_does_not_exist(engine, toy):
    with pytest.raises(MistudioError, match="nowhere"):
        start_run(engine, toy, LabelConfig(provider="openai", model="any", prompt="nowhere"), FeatureFilter())


def test_marks_digits_and_white_space_are_named_beside_the_active_tokens():
    tokens = ["):", " 7", "1984", "\n\n", '"', " the"]
    line = completion_text(tokens, [(9.0, "a", "b", "c")]).splitlines()[0]
    assert line == ('Active tokens: "):" (closing bracket, colon) | 7 (digit) | 1984 (number) | "\\n\\n" (blank line)'
                    ' | """ (double quote) | the')


@pytest.mark.parametrize(("label", "written"), [
    ("'|' between table cells", "vertical bar between table cells"),
    ("'->' in annotations", "arrow in annotations"),
    ("'):' ending a line", "closing bracket, colon ending a line"),
    ("colon ':' after a name", "colon ':' after a name"),
    ("'def' in Python", "'def' in Python"),
    ("'s in let's", "'s in let's"),
])
def test_marks_that_a_label_quotes_bare_are_named(label, written):
    assert with_names(label) == written
