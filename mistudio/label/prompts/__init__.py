"""From evidence to a prompt. Templates are files beside this one, named with their version.

Rules and worked examples come first and are the same for every feature, so that servers can cache them.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from mistudio.errors import MistudioError, ReplyError
from mistudio.label.completion import MINIMUM_STRENGTH, MOST_WINDOWS, completion_text, visible
from mistudio.label.evidence import Evidence, EvidenceWindow

COMPLETION = "completion-v1"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Prompt:
    """Messages as ``{"role", "content"}``, the template's name, and the first 16 hex digits of their SHA-256."""

    messages: list[dict[str, str]]
    template: str
    hash: str

    @property
    def text(self) -> str:
        """The whole prompt as a person reads it."""
        return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in self.messages)


def render(evidence: Evidence, template: str) -> Prompt:
    """The prompt for one feature.

    Raises:
        MistudioError: there is no such template.
    """
    if template == COMPLETION:
        return _prompt([{"role": "user", "content": _completion(evidence)}], template)
    return _prompt([*_fixed(template), {"role": "user", "content": evidence_text(evidence)}], template)


def render_question(template: str, content: str) -> Prompt:
    """A prompt with a template's rules and worked examples first, and the question last.

    Raises:
        MistudioError: there is no such template.
    """
    return _prompt([*_fixed(template), {"role": "user", "content": content}], template)


def message_hash(messages: list[dict[str, str]]) -> str:
    """The first 16 hex digits of the SHA-256 of messages."""
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]


def template_hash(template: str) -> str:
    """The first 16 hex digits of the SHA-256 of a template's messages.

    Raises:
        MistudioError: there is no such template.
    """
    return message_hash(list(_fixed(template)))


def repair(prompt: Prompt, reply: str, error: ReplyError, form: str) -> Prompt | None:
    """The one question to ask after a reply that cannot be read; None where asking again cannot help.

    Args:
        form: what the answer should have been, for example "one JSON object with the key ...".
    """
    if prompt.template == COMPLETION or error.kind == "refusal":
        return None
    ask = f"That answer cannot be used: {error.message} Answer again, with {form}, and nothing else."
    return _prompt([*prompt.messages, {"role": "assistant", "content": reply.strip()[:2000] or "(empty)"},
                    {"role": "user", "content": ask}], prompt.template)


def evidence_text(evidence: Evidence) -> str:
    """The evidence as the chat template shows it."""
    lines = [f"Feature seen on {100 * evidence.density:.2g}% of tokens",
             f"Most active tokens: {_quoted(evidence.top_tokens)}"]
    if evidence.followed_by:
        lines.append(f"Often followed by: {_quoted(evidence.followed_by)}")
    if evidence.promoted:
        lines.append(f"Promoted next tokens: {_quoted(evidence.promoted)}")
    lines += ["", "Active windows"]
    for number, window in enumerate(evidence.windows, 1):
        active = ", ".join(f"{_quote(text)} {max(1, round(strength))}"
                           for place, (text, strength) in enumerate(window.segments)
                           if strength or place == window.peak)
        lines += [f"{number}. {_marked(window)}", f"   active: {active}"]
    if evidence.negatives:
        lines += ["", "Silent windows"]
        lines += [f"{number}. {visible(window.text)}" for number, window in enumerate(evidence.negatives, 1)]
    return "\n".join(lines)


def _completion(evidence: Evidence) -> str:
    strong = [window for window in evidence.windows if window.strength >= MINIMUM_STRENGTH] or list(evidence.windows)
    # Spread over the strengths, as in training; only the first few would be the strongest alone.
    places = np.unique(np.linspace(0, len(strong) - 1, min(MOST_WINDOWS, len(strong))).round().astype(int))
    used = [strong[place] for place in places]
    return completion_text([window.segments[window.peak][0] for window in used], [
        (window.strength, "".join(text for text, _strength in window.segments[:window.peak]),
         window.segments[window.peak][0], "".join(text for text, _strength in window.segments[window.peak + 1:]))
        for window in used])


def _marked(window: EvidenceWindow) -> str:
    marked = ""
    for active, run in groupby(enumerate(window.segments), lambda item: item[1][1] > 0 or item[0] == window.peak):
        text = visible("".join(segment[0] for _place, segment in run))
        marked += f"<<{text}>>" if active else text
    return marked


def _quote(text: str) -> str:
    return f'"{visible(text)}"'


def _quoted(texts: tuple[str, ...]) -> str:
    return " | ".join(_quote(text) for text in texts)


def _prompt(messages: list[dict[str, str]], template: str) -> Prompt:
    return Prompt(messages, template, message_hash(messages))


@lru_cache(maxsize=8)
def _fixed(template: str) -> tuple[dict[str, str], ...]:
    file = _FOLDER / f"{template}.md"
    if not re.fullmatch(r"[a-z0-9-]+", template) or not file.exists():
        known = ", ".join(sorted([COMPLETION, *(path.stem for path in _FOLDER.glob("*.md"))]))
        raise MistudioError(f"There is no prompt template {template!r}.", f"Use one of: {known}.")
    parts = re.split(r"^=== (system|user|assistant)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return tuple({"role": role, "content": text.strip()} for role, text in zip(parts[::2], parts[1::2], strict=True))
