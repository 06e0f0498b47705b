"""A label is read from any honest reply, and from nothing else."""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mistudio.errors import ReplyError
from mistudio.label.answer import KINDS, answer_schema, parse_reply, storable

GOOD = {"label": "closing brackets", "explanation": "Brackets that close a call.", "kind": "punctuation",
        "confidence": 0.9}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize("reply", [
    TEXT,
    f"```json\n{TEXT}\n```",
    f"Here is the label you asked for:\n\n{TEXT}\n\nLet me know if it helps {{or not}}.",
    f"<think>Maybe {{\"label\": \"wrong\"}}? No.</think>\n{TEXT}",
    f"the opening tag was swallowed {{\"label\": \"wrong\"}}</think>{TEXT}",
    str(GOOD),
    TEXT.replace("}", ",}"),
    f'{{"answer": {TEXT}}}',
    f"{TEXT}\n{TEXT}",
    TEXT.replace('"label"', "label").replace('"kind"', "kind"),
    f"[{TEXT}]",
], ids=["plain", "fenced", "prose around", "think", "think without opening", "single quotes", "trailing comma",
        "wrapped", "twice", "bare keys", "list"])
def test_an_honest_reply_is_read(reply):
    assert parse_reply(reply).model_dump() == GOOD


def test_unescaped_quotes_inside_a_label_are_kept():
    assert parse_reply('{"label": "the "def" keyword", "kind": "code"}').label == 'the "def" keyword'
    assert parse_reply("{'label': 'Let's go', 'kind': 'token'}").label == "Let's go"


@pytest.mark.parametrize(("reply", "kind"), [
    ("", "empty"), (None, "empty"), (" \n", "empty"), ("<think>done</think>", "empty"),
    ("This feature fires on closing brackets.", "prose"), ("Label: closing brackets", "prose"),
    ("It fires on { and } in code.", "prose"),
    (TEXT[:30], "truncated"), (f"```json\n{TEXT[:-1]}", "truncated"), ("<think>So the feature", "truncated"),
    ('{"label": "closing brackets }', "truncated"), (TEXT + '\n{"label": "another', "truncated"),
    ('{"name": "closing brackets"}', "wrong schema"), ('{"label": ""}', "wrong schema"),
    ('{"label": 7}', "wrong schema"), ('{"label": null}', "wrong schema"), ('["closing brackets"]', "wrong schema"),
    ("7", "prose"),
    ('{"label": "one two three four five six seven eight nine"}', "wrong schema"),
    ('{"label": "a"} or rather {"label": "b"}', "wrong schema"), (json.dumps(answer_schema()), "wrong schema"),
    ("I'm sorry, but I can't help with that.", "refusal"), ("I cannot label this content.", "refusal"),
])
def test_any_other_reply_is_refused_with_its_kind(reply, kind):
    with pytest.raises(ReplyError) as caught:
        parse_reply(reply)
    assert caught.value.kind == kind


@pytest.mark.parametrize(("value", "kept"), [
    (0, 0.0), (1, 1.0), ("0.4", 0.4), (90, None), (-1, None), ("high", None), (True, None), (float("nan"), None)])
def test_a_confidence_is_a_number_from_0_to_1_or_nothing(value, kept):
    assert parse_reply(json.dumps(GOOD | {"confidence": value})).confidence == kept


def test_an_unknown_kind_is_other_and_a_missing_one_stays_empty():
    assert parse_reply('{"label": "a", "kind": "Punctuation"}').kind == "punctuation"
    assert parse_reply('{"label": "a", "kind": "weather"}').kind == "other"
    assert parse_reply('{"label": "a"}').kind == ""


@given(st.text())
@example("{" * 100_000)
@example('{"a":' * 50_000)
@example('{"label": "' + "(" * 5_000 + '"}')
@example('{"label": ' + "(" * 5_000 + "}")
@example('{"label": "\\ud800"}')
@example("{'label': b'x'}")
@example("{'label'}")
@example("{a" + "[" * 300)
def test_no_text_causes_anything_but_an_answer_or_a_reply_error(text):
    try:
        answer = parse_reply(text)
    except ReplyError as error:
        assert error.kind in ("empty", "prose", "truncated", "wrong schema", "refusal")
    else:
        assert answer.label == storable(answer.label)


LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
LABEL = st.lists(LINE, min_size=1, max_size=8).map(" ".join)
ANSWER = st.fixed_dictionaries({"label": LABEL, "explanation": LABEL, "kind": st.sampled_from(KINDS),
                                "confidence": st.floats(0, 1)})


@given(ANSWER, st.sampled_from(["{}", "```json\n{}\n```", "Sure! {}", "{} Hope this helps."]), st.booleans(), st.data())
def test_a_reply_is_read_exactly_and_a_cut_one_never_half(answer, frame, escaped, data):
    body = json.dumps(answer, ensure_ascii=escaped)
    assert parse_reply(frame.replace("{}", body)).model_dump() == answer
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ReplyError):
        parse_reply(body[:cut])


@given(ANSWER)
def test_a_python_dict_is_read_exactly_or_refused(answer):
    with contextlib.suppress(ReplyError):
        assert parse_reply(repr(answer)).label == answer["label"]
