"""Tokens and labels as safe HTML. Every character that came from a corpus, a model or a person is escaped here.

Strength shows three ways at once, so that nothing rests on colour alone: the background's opacity, the thickness of
the underline, and each token's value on hover; the window's strongest token is bold and its strength leads the row.
"""

import re
import unicodedata
from collections.abc import Iterable
from html import escape

import numpy as np

from mistudio.store.examples import Examples

STYLE = """
<style>
.stMainBlockContainer {padding: 2.6rem 2.6rem 3rem;}
[data-testid="stSidebarHeader"] {height: 2.4rem; padding-bottom: 0; margin-bottom: 0;}
[data-testid^="stBaseButton-primary"]:not(:disabled) {background-color: #2f5fd0; border-color: #2f5fd0; color: #fff;}
[data-testid^="stBaseButton-primary"]:not(:disabled):hover {filter: brightness(1.12);}
.ms-brand {font-size: 1.3rem; font-weight: 680; letter-spacing: -.01em; padding-bottom: .4rem;}
.ms-table {width: 100%; border-collapse: collapse;}
.ms-table th, .ms-table td {text-align: left; vertical-align: baseline; padding: .4rem .5rem; overflow-wrap: break-word;
  border-bottom: 1px solid color-mix(in srgb, currentColor 9%, transparent);}
.ms-table thead th {font-size: .84rem; font-weight: 600;}
.ms-table tbody th {font-weight: 400;}
.ms-table td a {color: inherit;}
.ms-table .ms-number {text-align: right; font-variant-numeric: tabular-nums; width: 3.5rem;}
.ms-score {float: right; font-size: .84rem; opacity: .72; padding-left: .6rem; font-variant-numeric: tabular-nums;}
@media (max-width: 640px) {
  .stMainBlockContainer {padding: 2.6rem 1rem 2rem;}
  [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"]:nth-child(3) [data-testid="stMetric"])
    > [data-testid="stColumn"] {min-width: calc(50% - .5rem); flex: 1 1 calc(50% - .5rem);}
}
.ms-examples {display: flex; flex-direction: column; gap: .1rem;}
.ms-row {display: grid; grid-template-columns: 2.1rem 1fr; gap: .6rem; padding: .42rem .1rem; align-items: baseline;
  border-bottom: 1px solid color-mix(in srgb, currentColor 9%, transparent);}
.ms-row:last-child {border-bottom: none;}
.ms-strength {text-align: right; font-variant-numeric: tabular-nums; font-size: .82rem; opacity: .75;}
.ms-text {font-family: "Source Code Pro", ui-monospace, monospace; font-size: .84rem; line-height: 1.75;
  overflow-wrap: anywhere;}
.ms-on {background: rgba(240, 165, 40, calc(var(--s) * .42 + .06)); border-radius: 3px;
  border-bottom: calc(var(--s) * 3px + 1px) solid rgba(205, 125, 10, .95); padding: 0 1px;}
.ms-peak {font-weight: 700;}
.ms-mark {opacity: .38;}
.ms-framed {outline: 1.5px dashed currentColor; outline-offset: 1px; border-radius: 2px;}
.ms-chips {display: flex; flex-wrap: wrap; gap: .35rem; margin: .45rem 0 .3rem;}
.ms-chip {font-family: "Source Code Pro", ui-monospace, monospace; font-size: .8rem; padding: .1rem .45rem;
  border-radius: .4rem; border: 1px solid color-mix(in srgb, currentColor 18%, transparent); white-space: nowrap;}
.ms-chip small {opacity: .6;}
.ms-chip small:not(:empty) {margin-left: .4rem;}
.ms-label, .ms-explanation, .ms-chip, .ms-landed b, .ms-table td a {unicode-bidi: isolate;}
.ms-label {font-size: 1.2rem; font-weight: 620; line-height: 1.35; overflow-wrap: anywhere;}
.ms-label.ms-none {opacity: .55; font-weight: 500;}
.ms-explanation {margin-top: .2rem; line-height: 1.5; overflow-wrap: anywhere;}
.ms-by {margin-top: .35rem; font-size: .84rem; opacity: .68;}
.ms-small {font-size: .84rem; opacity: .68;}
.ms-changes {font-size: .84rem; line-height: 1.5; margin-top: .25rem; overflow-wrap: anywhere;}
.ms-changes del {text-decoration: line-through; opacity: .65;}
.ms-changes ins {text-decoration: underline; text-decoration-thickness: 2px; font-weight: 600;}
.ms-one-line {overflow: hidden; text-overflow: ellipsis; white-space: nowrap;}
[data-testid="stElementContainer"]:has(> .stHtml > .ms-one-line) {flex: 1 1 0; min-width: 0;}
@media (max-width: 640px) {[data-testid="stColumn"]:has(.st-key-browse-detail) {order: -1;}}
.ms-landed {display: grid; grid-template-columns: 3.2rem minmax(8rem, 14rem) 1fr; gap: .9rem; padding: .45rem .1rem;
  align-items: baseline; border-bottom: 1px solid color-mix(in srgb, currentColor 9%, transparent);}
.ms-landed b {font-weight: 620;}
.ms-landed a {color: inherit; opacity: 1;}
.ms-new {animation: ms-new 1.5s ease-out;}
@keyframes ms-new {from {background: color-mix(in srgb, currentColor 9%, transparent);} to {background: transparent;}}
@media (prefers-reduced-motion: reduce) {.ms-new {animation: none;}}
@media (max-width: 640px) {.ms-landed {grid-template-columns: 3rem 1fr;} .ms-landed > .ms-text {grid-column: 1 / -1;}}
</style>
"""
_MARKS = {" ": "·", "\n": "↵", "\r": "↵", "\t": "⇥"}
_BROKEN = "\N{REPLACEMENT CHARACTER}"
# Zero-width joiners make letters and emoji of several signs; no-break spaces are spaces.
_HARMLESS = frozenset("\n\r\t\u200c\u200d\u00a0\u202f")
MOST_MARKS = 4  # on one letter


def token_html(token: str) -> str:
    """One token: escaped, with spaces, newlines and tabs as muted marks, and line breaks allowed after a mark."""
    return "".join(
        f'<span class="ms-mark">{_MARKS[char]}</span><wbr>' if char in _MARKS else escape(_printable(char))
        for char in _few_marks(token))


def visible(token: str) -> str:
    """The same as plain text, for table cells."""
    return "".join(_MARKS.get(char, _printable(char)) for char in _few_marks(token))


def readable(text: str) -> str:
    """Text from elsewhere as a person can read it: characters that cannot be seen, or that would turn the text around
    them, by their code; white space and joiners stay."""
    kept = _few_marks(text)
    if kept.isprintable():  # nearly always, and much quicker than sign by sign
        return kept
    return "".join(char if char in _HARMLESS else _printable(char) for char in kept)


def html_safe(text: str) -> str:
    """Text from elsewhere as HTML."""
    return escape(readable(text))


def _printable(char: str) -> str:
    return char if char.isprintable() else f"⟨U+{ord(char):04X}⟩"


def _few_marks(text: str) -> str:
    """Without piles of accents on one letter, which would cover the lines above and below."""
    if text.isascii():
        return text
    kept, pile = [], 0
    for char in text:
        pile = pile + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if pile <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def text_of(token_id: int, vocabulary: list[str]) -> str:
    """The text of a token id; a replacement mark when the vocabulary does not have it."""
    return vocabulary[token_id] if 0 <= token_id < len(vocabulary) else _BROKEN


def _spans(tokens: np.ndarray, activations: np.ndarray, top: float, vocabulary: list[str],
           cut: slice = slice(None)) -> tuple[str, float]:
    """A window's tokens as HTML, each with its value on hover, and the strength (0 to 1) of its strongest token.

    ``cut`` is what is shown of it; an ellipsis stands for the rest.
    """
    strengths = np.clip(activations.astype(np.float32) / top, 0, 1) if top > 0 else np.zeros(len(tokens))
    peak = int(strengths.argmax())
    shown = range(len(tokens))[cut]
    parts = []
    for at in shown:
        if tokens[at] < 0:
            continue
        inner = token_html(text_of(int(tokens[at]), vocabulary))
        if strengths[at] > 0:
            classes = "ms-on ms-peak" if at == peak else "ms-on"
            value = f"activation {float(activations[at]):.2f}, strength {10 * strengths[at]:.0f} of 10"
            parts.append(f'<span class="{classes}" style="--s:{strengths[at]:.2f}" title="{value}">{inner}</span>')
        else:
            parts.append(f'<span title="activation 0">{inner}</span>')
    before, after = (bool((tokens[rest] >= 0).any()) for rest in (slice(shown.start), slice(shown.stop, None)))
    more = '<span class="ms-mark">…</span>'
    return f"{more * before}{''.join(parts)}{more * after}", float(strengths[peak])


def around(peak: int, length: int, width: int | None) -> slice:
    """``width`` tokens of a window, most of them before its peak, for a feature reads what came before."""
    if width is None or width >= length:
        return slice(0, length)
    start = min(max(peak - 2 * width // 3, 0), length - width)
    return slice(start, start + width)


def examples_html(examples: Examples, top: float, vocabulary: list[str], width: int | None = None) -> str:
    """Windows below each other, in their order, each led by the strength (0 to 10) of its strongest token.

    ``top`` is the feature's maximum, which is strength 10; token id -1 (outside the context) is left out. ``width`` is
    how many tokens around the peak are shown; None: the whole window.
    """
    rows = []
    for tokens, activations, peak in zip(examples.tokens, examples.activations, examples.peak, strict=True):
        spans, strength = _spans(tokens, activations, top, vocabulary, around(int(peak), len(tokens), width))
        rows.append(f'<div class="ms-row"><span class="ms-strength" title="strength of the strongest token, 0 to 10">'
                    f'{10 * strength:.0f}</span><span class="ms-text">{spans}</span></div>')
    return f'<div class="ms-examples">{"".join(rows)}</div>'


def best_example_html(examples: Examples | None, top: float, vocabulary: list[str], width: int = 12) -> str:
    """The middle of the strongest window, to stand beside a label; empty when there is none."""
    if examples is None or not len(examples):
        return ""
    best = int(examples.strength().argmax())
    tokens = examples.tokens[best]
    spans, _strength = _spans(tokens, examples.activations[best], top, vocabulary,
                              around(int(examples.peak[best]), len(tokens), width))
    return f'<span class="ms-text">{spans}</span>'


def text_html(tokens: np.ndarray, activations: np.ndarray, top: float, vocabulary: list[str]) -> str:
    """A whole text with its own line breaks; ``top`` is the activation that is strength 10."""
    spans, _strength = _spans(tokens, activations, top, vocabulary)
    return f'<div class="ms-text">{spans.replace("↵</span><wbr>", "↵</span><br>")}</div>'


def trial_html(window: dict) -> str:
    """A misjudged window (as a ``Score`` keeps it): its active tokens, and the marked ones in a frame."""
    parts = []
    marks = set(window.get("marks", ()))
    for at, (token, strength) in enumerate(zip(window["tokens"], window["strengths"], strict=True)):
        inner = token_html(token)
        if strength > 0:
            value = f"strength {strength:.0f} of 10"
            inner = f'<span class="ms-on" style="--s:{strength / 10:.2f}" title="{value}">{inner}</span>'
        parts.append(f'<span class="ms-framed" title="marked for the judge">{inner}</span>' if at in marks else inner)
    return (f'<div class="ms-row"><span class="ms-strength" title="strength of the strongest token, 0 to 10">'
            f'{window["strength"]:.0f}</span><span class="ms-text">{"".join(parts)}</span></div>')


def chips_html(pairs: Iterable[tuple[str, str]]) -> str:
    """Tokens as chips, each with a small remark such as its weight."""
    chips = "".join(f'<span class="ms-chip">{token_html(str(token))}<small>{html_safe(remark)}</small></span>'
                    for token, remark in pairs)
    return f'<div class="ms-chips">{chips}</div>'


def markdown_safe(text: str) -> str:
    """Text from elsewhere for widgets that read Markdown, on one line: every sign that could format, link or embed is
    escaped, and addresses, which become links all the same, are broken where nobody sees it."""
    line = " ".join(readable(text).split())
    line = re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", "\N{WORD JOINER}", line, flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!$:|<>~^&=@])", r"\\\1", line)
