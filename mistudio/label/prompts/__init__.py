"""From evidence to a prompt.

Rules and worked examples come first and are the same for every feature, so that servers can cache them; the evidence
comes last. Templates are files (``prompts.templates``); the embedded labeler's prompt is a format of its own.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from mistudio.errors import ReplyError
from mistudio.label.completion import MINIMUM_STRENGTH, MOST_WINDOWS, completion_text, fenced, marked
from mistudio.label.evidence import Evidence
from mistudio.label.prompts.templates import hash_of, label_template, load_template

COMPLETION = "completion-v2"
# Fewer windows in which a promoted token comes next are chance.
FEWEST_PREDICTED, SHARE_PREDICTED = 3, 0.25


@dataclass(frozen=True)
class Prompt:
    """Messages as ``{"role", "content"}``; the template's name and hash, which do not depend on the evidence.

    The hash is that of the template's own messages (``templates.Template``), so that labels can be grouped by prompt;
    what was shown of the feature is told by the evidence's record.
    """

    messages: list[dict[str, str]]
    template: str
    hash: str

    @property
    def text(self) -> str:
        """The whole prompt as a person reads it."""
        return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in self.messages)


def render(evidence: Evidence, template: str | Path) -> Prompt:
    """The prompt for one feature.

    Args:
        template: name of a template, or path of a file that is one.

    Raises:
        ProviderSetupError: there is no such template, or it is not one for labels.
    """
    if template == COMPLETION:
        return Prompt([{"role": "user", "content": _completion(evidence)}], template, _completion_hash())
    found = label_template(template)
    return Prompt([*found.messages, {"role": "user", "content": evidence_text(evidence)}], found.name, found.hash)


def render_question(template: str, content: str) -> Prompt:
    """A prompt with a template's rules and worked examples first, and the question last.

    Raises:
        ProviderSetupError: there is no such template.
    """
    found = load_template(template)
    return Prompt([*found.messages, {"role": "user", "content": content}], found.name, found.hash)


def revise(prompt: Prompt, reply: str, misjudged: list[dict]) -> Prompt:
    """The question to a model whose label tells active from silent windows badly.

    Args:
        misjudged: windows as a ``Score`` keeps them, none of them from the test split.
    """
    missed = [window for window in misjudged if not window["said"] and max(window["strengths"], default=0) > 0]
    wrong = [window for window in misjudged if window["said"] and not max(window["strengths"], default=0) > 0]
    lines = ["Your label was tried on other windows, and these were judged wrongly by it."]
    for title, windows in (("Active, but your label does not tell so", missed),
                           ("Silent, but your label fits them", wrong)):
        if windows:
            lines += ["", title, *(f"{number}. {_of_trial(window)}" for number, window in enumerate(windows, 1))]
    lines += ["", "Answer again in the same form, with a label that is right on these windows and on those before."]
    return replace(prompt, messages=[*prompt.messages, {"role": "assistant", "content": reply},
                                     {"role": "user", "content": "\n".join(lines)}])


def _of_trial(window: dict) -> str:
    return marked((text, strength > 0) for text, strength in zip(window["tokens"], window["strengths"], strict=True))


def repair(prompt: Prompt, reply: str, error: ReplyError, form: str) -> Prompt | None:
    """The one question to ask after a reply that cannot be read; None where asking again cannot help.

    Args:
        form: what the answer should have been, for example "one JSON object with the key ...".
    """
    if prompt.template == COMPLETION or error.kind == "refusal":
        return None
    ask = f"That answer cannot be used: {error.message} Answer again, with {form}, and nothing else."
    return replace(prompt, messages=[*prompt.messages,
                                     {"role": "assistant", "content": reply.strip()[:2000] or "(empty)"},
                                     {"role": "user", "content": ask}])


def evidence_text(evidence: Evidence) -> str:
    """The evidence as the chat template shows it."""
    lines = [f"Feature seen on {100 * evidence.density:.2g}% of tokens",
             f"Most active tokens: {_quoted(evidence.top_tokens)}"]
    if evidence.followed_by:
        lines.append(f"Often followed by: {_quoted(evidence.followed_by)}")
    if evidence.promoted:
        lines.append(f"Promoted next tokens: {_quoted(evidence.promoted)}")
    hits = sum(count for _word, count in evidence.predicted)
    if hits >= max(FEWEST_PREDICTED, SHARE_PREDICTED * len(evidence.windows)):
        words = " | ".join(f"{_quote(word)} {count}" for word, count in evidence.predicted)
        lines.append(f"Promoted token right after the peak in {hits} of {len(evidence.windows)} windows: {words}")
    lines += ["", "Active windows"]
    for number, window in enumerate(evidence.windows, 1):
        active = ", ".join(f"{_quote(text)} {max(1, round(strength))}"
                           for place, (text, strength) in enumerate(window.segments)
                           if strength or place == window.peak)
        shown = marked((text, strength > 0 or place == window.peak)
                       for place, (text, strength) in enumerate(window.segments))
        lines += [f"{number}. {shown}", f"   active: {active}"]
    if evidence.negatives:
        lines += ["", "Silent windows"]
        lines += [f"{number}. {fenced(window.text)}" for number, window in enumerate(evidence.negatives, 1)]
    if evidence.hint:
        lines += ["", f"Hint from a person who has seen more of this feature: {fenced(evidence.hint)}",
                  "Follow it as far as the windows bear it out."]
    return "\n".join(lines)


def _completion(evidence: Evidence) -> str:
    strong = [window for window in evidence.windows if window.strength >= MINIMUM_STRENGTH] or list(evidence.windows)
    # Spread over the strengths, as in training; only the first few would be the strongest alone.
    places = np.unique(np.linspace(0, len(strong) - 1, min(MOST_WINDOWS, len(strong))).round().astype(int))
    used = [strong[place].around_peak for place in places]
    return completion_text([active for _strength, _before, active, _after in used], used)


def _quote(text: str) -> str:
    # A quote of its own does not end the quoted text.
    return '"' + fenced(text).replace('"', '\\"') + '"'


def _quoted(texts: tuple[str, ...]) -> str:
    return " | ".join(_quote(text) for text in texts)


@lru_cache(maxsize=1)
def _completion_hash() -> str:
    """There is no template file to hash: the format itself is what a made-up feature looks like in it."""
    text = completion_text([".", "):", "7", "x"], [(9.0, "before\n", ".", " after"), (4.0, "a ", "x", "")])
    return hash_of([{"role": "user", "content": text}])
