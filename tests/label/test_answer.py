"""A label is read from any honest reply, and from nothing else."""

import ast
import contextlib
import json
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mistudio.errors import ReplyError
from mistudio.label.answer import KINDS, answer_schema, parse_reply
from mistudio.store.storable import storable

pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence")

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
    ('{"label": "a"} or rather {"label": "b"}', "wrong schema"), ('{"label": "a", "label": "b"}', "wrong schema"),
    ("{'label': 'a', 'label': 'b'}", "wrong schema"), ('{"label": "a", "labels": [{"label": "b"}],}', "wrong schema"),
    ('''"label": "a", "explanation": "unlike {'label': 'b'}"}''', "wrong schema"),
    (json.dumps(answer_schema()), "wrong schema"),
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


LINE = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
LABEL = st.lists(LINE, min_size=1, max_size=8).map(" ".join)
FRAMES = ["{}", "```json\n{}\n```", "Sure! {}", "{} Hope this helps.", "<think>{a}</think>{}"]
ANSWER = st.fixed_dictionaries({"label": LABEL, "explanation": LABEL, "kind": st.sampled_from(KINDS),
                                "confidence": st.floats(0, 1)})


@given(ANSWER, st.sampled_from(FRAMES), st.booleans(), st.data())
def test_a_reply_is_read_exactly_and_a_cut_one_never_half(answer, frame, escaped, data):
    body = json.dumps(answer, ensure_ascii=escaped)
    assert parse_reply(frame.replace("{}", body)).model_dump() == answer
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ReplyError):
        parse_reply(body[:cut])


@pytest.mark.parametrize(("label", "read"), [
    ("\u202egnp.exe\u202c", "gnp.exe"), ("a\u2066b\u2069\u200fc", "abc"), ("co\u00adoperate", "cooperate"),
    ("two\u2028lines\x07\x00", "two lines"),
    ("\U0001f469\u200d\U0001f52c science", "\U0001f469\u200d\U0001f52c science")])
def test_a_label_is_made_of_characters_that_can_be_seen(label, read):
    found = parse_reply(json.dumps(GOOD | {"label": label, "explanation": label}))
    assert (found.label, found.explanation) == (read, read)


@pytest.mark.parametrize("label", ["\u202e", "\u200d", "\ufeff \u200b", "x" * 201, "x" * 5000])
def test_a_label_that_cannot_be_seen_or_read_is_none(label):
    with pytest.raises(ReplyError, match=r"empty|characters"):
        parse_reply(json.dumps(GOOD | {"label": label}))


def test_a_reply_of_ten_megabytes_costs_no_time():
    started = time.monotonic()
    for reply in ("x" * 10_000_000, '{"label": "' + "x" * 10_000_000 + '"}', "{" * 10_000_000, TEXT * 90_000):
        with pytest.raises(ReplyError):
            parse_reply(reply)
    assert time.monotonic() - started < 20


@given(ANSWER)
def test_a_python_dict_is_read_exactly_or_refused(answer):
    with contextlib.suppress(ReplyError):
        assert parse_reply(repr(answer)).label == answer["label"]


# What stands in an explanation is not the label, however much it looks like one.
DECOY = "wrong"
DECOYS = [f'{{"label": "{DECOY}"}}', f"{{'label': '{DECOY}'}}", f'"label": "{DECOY}"', f"label: {DECOY}, kind: code",
          f'", "label": "{DECOY}", "x": "', f"', 'label': '{DECOY}'", f'}} {{"label": "{DECOY}"}}', f"```{DECOY}```"]
PROSE = st.text(st.sampled_from("{}[]'\"\\`:,<>/\n abcdelt01"), max_size=30)


@given(ANSWER, st.lists(st.sampled_from(DECOYS) | PROSE, min_size=1, max_size=4), st.booleans())
def test_nothing_inside_an_explanation_becomes_the_label(answer, parts, python):
    whole = answer | {"explanation": " ".join(parts)}
    try:
        read = parse_reply(repr(whole) if python else json.dumps(whole))
    except ReplyError:
        assert python, "JSON is always read"
    else:
        assert read.label == answer["label"]


PUT = st.text(st.sampled_from("{}[]'\"\\`:, \nx"), max_size=3)
EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 6), PUT), min_size=1, max_size=4)


def edited(text, edits):
    for place, length, put in edits:
        at = place % (len(text) + 1)
        text = text[:at] + put + text[at + length:]
    return text


def stands_as_value(label, reply):
    """Whether the reply has a key ``label`` with this value between quotes, escapes read or not."""
    for match in re.finditer(r"""label["'\s]*:\s*(["'])""", reply):
        quote, rest = match[1], reply[match.end():]
        ends = [at for at, char in enumerate(rest) if char == quote]
        for value in (rest[:end] for end in ends):
            readings = [value]
            for read in (json.loads, ast.literal_eval):
                with contextlib.suppress(ValueError, SyntaxError):
                    readings.append(read(f"{quote}{value}{quote}"))
            plain = (re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", reading) for reading in readings)
            if any(" ".join(reading.split()) == label for reading in plain):
                return True
    return False


@settings(max_examples=300, deadline=None)
@given(ANSWER, st.sampled_from(FRAMES), EDITS, st.booleans())
def test_a_damaged_reply_gives_the_value_of_its_label_key_or_nothing(answer, frame, edits, python):
    reply = frame.replace("{}", edited(repr(answer) if python else json.dumps(answer), edits))
    with contextlib.suppress(ReplyError):
        assert stands_as_value(parse_reply(reply).label, reply)


@pytest.mark.parametrize("decoy", DECOYS)
@pytest.mark.parametrize("written", [json.dumps, repr])
def test_no_slip_of_a_character_makes_a_label_of_the_explanation(decoy, written):
    body = written(GOOD | {"explanation": f"Unlike {decoy} elsewhere"})
    slips = [(at, length, put) for at in range(len(body) + 1) for length in (0, 1) for put in ["", *"{}[]'\"\\:, x"]]
    for slip in slips:
        with contextlib.suppress(ReplyError):
            assert DECOY not in parse_reply(edited(body, [slip])).label, slip


@given(PROSE, PROSE)
def test_prose_alone_is_never_read(before, after):
    with pytest.raises(ReplyError):
        parse_reply(f"{before} The label would be closing brackets. {after}")


@given(ANSWER, st.sampled_from(FRAMES), st.booleans())
def test_a_reply_cut_at_any_byte_gives_its_label_or_none(answer, frame, python):
    raw = frame.replace("{}", repr(answer) if python else json.dumps(answer)).encode()
    for end in range(len(raw)):
        with contextlib.suppress(ReplyError):
            assert parse_reply(raw[:end].decode("utf-8", "replace")).label == answer["label"]


@pytest.mark.parametrize("unit", [
    "blah ", "{", "{a b}", '{"a":', "{'", "{'a \"}", "[", "</think>", TEXT, '{"label": "a" b}', '{"label": "a, ',
    f'{{"label": {"[" * 150}', '{"label": "\\', "```json\n", '{"a": \'b"}'])
def test_a_megabyte_is_read_or_refused_at_once(unit):
    for length in (90_000, 1_000_000):
        started = time.process_time()
        with contextlib.suppress(ReplyError):
            parse_reply(unit * (length // len(unit)))
        assert time.process_time() - started < 10
