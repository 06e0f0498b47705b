"""What a prompt says, in the two formats."""

import json
import re

import pytest

from mistudio.errors import MistudioError, ReplyError
from mistudio.label.answer import parse_reply
from mistudio.label.completion import completion_text
from mistudio.label.config import LabelConfig
from mistudio.label.evidence import Evidence, EvidenceWindow
from mistudio.label.one import preview
from mistudio.label.prompts import evidence_text, render, repair

WINDOW = EvidenceWindow("top:1", (("print(x", 0.0), (")", 10.0), (")", 4.2), ("\n\tnext", 0.0)), 1)
EVIDENCE = Evidence(5, (WINDOW,), (EvidenceWindow("reference:0", (("so it (was)", 0.0),)),), (")", "\n"), ("next",),
                    (" else",), (), 0.0021, "mixed", 0)


def test_rules_and_worked_examples_are_the_same_for_every_feature(engine, toy):
    config = LabelConfig(provider="openai", model="any")
    first, second = preview(engine, 1, config), preview(engine, 2, config)
    assert first.messages[:-1] == second.messages[:-1]
    assert first.messages[-1] != second.messages[-1]
    assert first.hash != second.hash
    assert preview(engine, 1, config).hash == first.hash


def test_evidence_shows_every_token_and_its_strength():
    text = evidence_text(EVIDENCE)
    assert r"1. print(x<<))>>\n\tnext" in text
    assert '   active: ")" 10, ")" 4' in text
    assert r'Most active tokens: ")" | "\n"' in text
    assert "1. so it (was)" in text
    assert "0.21% of tokens" in text


def test_worked_examples_have_the_live_format():
    messages = render(EVIDENCE, "standard-v1").messages
    shapes = [re.compile(pattern) for pattern in (
        r"Feature seen on [\d.]+% of tokens", r"Most active tokens: \".*\"", r"Often followed by: \".*\"",
        r"Promoted next tokens: \".*\"", r"(Active|Silent) windows", r"\d+\. .*",
        r"   active: (\".*?\" \d+(, )?)+", r"")]
    for message in messages:
        if message["role"] == "user":
            assert all(any(shape.fullmatch(line) for shape in shapes) for line in message["content"].split("\n"))
        if message["role"] == "assistant":
            assert parse_reply(message["content"]).model_dump() == json.loads(message["content"])


def test_the_rules_welcome_marks_digits_and_code_and_treat_evidence_as_data():
    rules = render(EVIDENCE, "standard-v1").messages[0]["content"]
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
    prompt = render(EVIDENCE, "standard-v1")
    again = repair(prompt, "no idea", ReplyError("The reply is prose.", "prose"), "one JSON object")
    assert again.messages[:-2] == prompt.messages
    assert "The reply is prose." in again.messages[-1]["content"]
    assert "with one JSON object" in again.messages[-1]["content"]
    assert repair(render(EVIDENCE, "completion-v1"), "", ReplyError("Empty.", "empty"), "") is None


def test_an_unknown_template_is_named_with_the_known_ones():
    with pytest.raises(MistudioError, match="standard-v1"):
        render(EVIDENCE, "../secrets")
