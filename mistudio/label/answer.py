"""Read a label out of a reply, or say why there is none. Prose never becomes a label.

Tolerated: code fences, prose around the object, a <think> block, single quotes, trailing commas, unescaped quotes and
text after the object. Everything is read from one balanced ``{...}`` span, so a reply that was cut off is never
half-read.
"""

import ast
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator

import json_repair
from pydantic import BaseModel, ConfigDict, Field

from mistudio.errors import ReplyError
from mistudio.store.labels import MAX_WORDS

# What stands in a reply is data; Python warns of its backslashes as if it were code of ours.
warnings.filterwarnings("ignore", "invalid escape sequence", module="<unknown>")

KINDS = ("token", "code", "punctuation", "number", "domain", "structure", "concept", "other")
# Far above any honest answer (100 tokens); beyond it a reply is a loop of the model, and costly to search.
LONGEST_REPLY, LONGEST_OBJECT, DEEPEST = 100_000, 8_000, 4
LONGEST_LABEL = 200  # characters; eight long words are half of that
# Characters that cannot be seen or turn the text around them; joiners make letters and emoji of several signs.
_UNSEEN, _JOINERS = ("Cc", "Cf", "Cs"), "\u200c\u200d"
_REFUSAL = re.compile(r"\s*(i['’]?m (very |so )?sorry|i am sorry|sorry,|i can(no|['’])t|i am (not able|unable)"
                      r"|i['’]m (not able|unable)|as an ai\b|i (must|have to) (decline|refuse))", re.IGNORECASE)
# With what a slip may have put between a key and its colon.
_KEY = re.compile(r"""["']label\W{0,4}:|label["'](\W{0,4}:|[\]}])""")
_BARE_KEY = re.compile(r"label\W{0,4}:")
_OBJECT = re.compile(r"""\{\s*["'A-Za-z_]""")


class LabelAnswer(BaseModel):
    """What a labeler says of one feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(description=f"Short name of the pattern, natural case, at most {MAX_WORDS} words.")
    explanation: str = Field(description="One or two sentences that say more.")
    kind: str = Field(description="What sort of pattern it is.", json_schema_extra={"enum": list(KINDS)})
    confidence: float | None = Field(description="How sure, from 0 to 1.")


def answer_schema() -> dict:
    """The JSON schema of an answer, in the subset that strict servers accept."""
    schema = LabelAnswer.model_json_schema()
    fields = {name: {key: value for key, value in field.items() if key in ("type", "description", "enum")}
              for name, field in schema["properties"].items()}
    fields["confidence"]["type"] = "number"
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def parse_reply(raw: str | None, evidence: str = "") -> LabelAnswer:
    """The answer in a reply.

    Args:
        evidence: what the model was shown; an answer that only repeats what stands in there is none.

    Raises:
        ReplyError: of kind ``empty``, ``prose``, ``truncated``, ``wrong schema``, ``refusal`` or ``evidence``.
    """
    text = _after_thinking(raw or "")
    if not text.strip():
        raise ReplyError("The reply is empty.", "empty")
    if len(text) > LONGEST_REPLY:
        raise ReplyError(f"The reply is {len(text):,} characters long.", "wrong schema")
    found, rest, outside = [], "", text
    for closed, span in _objects(text):
        if not closed:
            rest = span
        elif "label" in span and (value := _labeled(_read(span))) is not None:
            found.append(_answer(value))
            outside = outside.replace(span, "", 1)
    if "label" in rest:
        raise ReplyError("The reply breaks off before its end.", "truncated")
    # A model may quote the format before it answers; two different labels leave no honest choice between them. Neither
    # does a key outside the object: that may stand inside the explanation of an answer whose own brace is missing.
    if len({answer.label for answer in found}) > 1 or (found and _KEY.search(outside)):
        raise ReplyError("The reply holds several different labels.", "wrong schema")
    if found and _stands_in(found[-1].label, evidence):
        raise ReplyError("The reply repeats an answer that stands in the evidence.", "evidence")
    if found:
        return found[-1]
    if _KEY.search(text) or _is_json(text):
        raise ReplyError("The reply is not an object with a label.", "wrong schema")
    if _REFUSAL.match(text):
        raise ReplyError("The model refused to answer.", "refusal")
    raise ReplyError("The reply is prose, not the JSON that was asked for.", "prose")


def _stands_in(label: str, evidence: str) -> bool:
    """Whether a text of the evidence is written like an answer with this label, marked or not."""
    if not re.search("label", evidence, re.IGNORECASE):
        return False
    plain = evidence.replace("<<", "").replace(">>", "").replace("\\", "")
    written = r'''["']label["']\s*:\s*["']\s*''' + re.escape(label) + r'''\s*["']'''
    return re.search(written, plain, re.IGNORECASE) is not None


def json_values(raw: str | None) -> Iterator[object]:
    """Every object that a reply holds, read as tolerantly as labels are; None for one that cannot be read.

    Raises:
        ReplyError: of kind ``empty`` or ``truncated``.
    """
    text = _after_thinking(raw or "")
    if not text.strip():
        raise ReplyError("The reply is empty.", "empty")
    for closed, span in _objects(text[:LONGEST_REPLY]):
        if not closed:
            raise ReplyError("The reply breaks off before its end.", "truncated")
        yield _read(span)


def _after_thinking(text: str) -> str:
    start = text.lstrip()
    if start.startswith("<think>"):
        if "</think>" not in start:
            raise ReplyError("The reply breaks off while the model is still thinking.", "truncated")
        return start.split("</think>", 1)[1]
    # Some servers swallow the opening tag.
    return text.rsplit("</think>", 1)[1] if "</think>" in text and not start.startswith(("{", "```")) else text


def _objects(text: str) -> Iterator[tuple[bool, str]]:
    """Each outermost ``{...}`` that begins like an object, with True; the last one with False if it never closes."""
    opening = _OBJECT.search(text)
    while opening:
        end = _closing(text, opening.start())
        if end is None:
            yield False, text[opening.start():]
            return
        yield True, text[opening.start():end]
        opening = _OBJECT.search(text, end)


def _closing(text: str, start: int) -> int | None:
    """Just behind where the bracket at ``start`` closes, minding quoted strings and escapes."""
    depth, quote, at = 0, "", start
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char == '"' or (char == "'" and text[at - 1] in "{[,: \n\t"):
            quote = char
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return None


def _read(span: str) -> object:
    """The value of an object, by ever more tolerant readers; None when none can read it."""
    depth = max(span.count("{"), span.count("["), span.count("("))
    if len(span) > LONGEST_OBJECT or depth > 200:
        return None
    readers: tuple[Callable[[str], object], ...] = (_strict, ast.literal_eval, _repaired)
    # The tolerant readers keep the last of several keys of one name, or take one out of a text: only one may be there.
    if len(_BARE_KEY.findall(span)) > 1:
        readers = (_strict,)
    for read in readers:
        try:
            return read(span)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _strict(span: str) -> object:
    return json.loads(span, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict:
    if len({key for key, _value in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _repaired(span: str) -> object:
    value = json_repair.loads(span)
    # A repair that invents keys, or ends a label elsewhere than its quotes do, has misread the text.
    if not isinstance(value, dict) or not set(value) <= set(LabelAnswer.model_fields):
        return None
    label = value.get("label")
    if not isinstance(label, str):
        return None
    whole = r"""label["']?\s*:\s*(["'])""" + re.escape(label) + r"""\1\s*(,\s*["']?[a-z]+["']?\s*:|,?\s*\})"""
    return value if re.search(whole, span) else None


def _labeled(value: object) -> dict | None:
    """The object that holds the label: itself, or the only object inside a wrapper."""
    for _level in range(DEEPEST):
        if not isinstance(value, dict):
            return None
        if "label" in value:
            return value
        if len(value) != 1:
            return None
        value = next(iter(value.values()))
    return None


def _answer(value: dict) -> LabelAnswer:
    label = _line(value["label"])
    if not label:
        raise ReplyError("The label is empty or not text.", "wrong schema")
    words = len(label.split())
    if words > MAX_WORDS:
        raise ReplyError(f"The label has {words} words; at most {MAX_WORDS} are allowed.", "wrong schema")
    if len(label) > LONGEST_LABEL:
        raise ReplyError(f"The label has {len(label):,} characters; at most {LONGEST_LABEL} are allowed.",
                         "wrong schema")
    kind = _line(value.get("kind")).lower()
    return LabelAnswer(label=label, explanation=_line(value.get("explanation")),
                       kind=kind if kind in KINDS else "other" if kind else "",
                       confidence=_confidence(value.get("confidence")))


def _line(value: object) -> str:
    """Text on one line, of characters that can be seen; "" for what is not text."""
    if not isinstance(value, str):
        return ""
    plain = "".join(_seen(char) for char in value)
    return " ".join(plain.split()) if plain.strip(_JOINERS) else ""


def _seen(char: str) -> str:
    category = unicodedata.category(char)
    return char if category not in _UNSEEN or char in _JOINERS else "" if category == "Cf" else " "


def _confidence(value: object) -> float | None:
    """A number from 0 to 1, or None: a confidence is never guessed."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= 1 else None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
