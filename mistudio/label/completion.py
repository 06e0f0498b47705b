"""The prompt of the embedded labeler. Its adapter was trained on exactly this text: change one, retrain the other."""

import re
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

# Windows are worth little to a small model when they are faint, and no more than these fit what it was trained on.
MINIMUM_STRENGTH = 3.0
MOST_WINDOWS, MOST_TOKENS = 5, 6
BEFORE, AFTER = 45, 22
_LINE_ENDS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")
_LIKE_MARKS = re.compile(r"<(?=<)|(?<=<)<|>(?=>)|(?<=>)>")

# A bare mark between quotes says little to a small model; its name does.
_NAMES = {
    "\n": "newline", "\n\n": "blank line", " ": "space", "\t": "tab", ".": "period", ",": "comma", ":": "colon",
    ";": "semicolon", "!": "exclamation mark", "?": "question mark", "(": "opening bracket", ")": "closing bracket",
    "[": "opening square bracket", "]": "closing square bracket", "{": "opening brace", "}": "closing brace",
    "<": "less than", ">": "greater than", '"': "double quote", "'": "single quote", "`": "backtick",
    "“": "opening quote", "”": "closing quote", "‘": "opening quote", "’": "apostrophe", "-": "hyphen", "–": "dash",
    "—": "dash", "_": "underscore", "/": "slash", "\\": "backslash", "|": "vertical bar", "#": "hash",
    "$": "dollar sign", "€": "euro sign", "£": "pound sign", "%": "percent sign", "&": "ampersand", "*": "asterisk",
    "**": "double asterisk", "+": "plus sign", "=": "equals sign", "==": "double equals", "@": "at sign",
    "^": "caret", "~": "tilde", "°": "degree sign", "...": "ellipsis", "…": "ellipsis", '"""': "triple quote",
    "'''": "triple quote", "```": "code fence", "->": "arrow", "//": "double slash", "()": "empty brackets",
    "[]": "empty square brackets", "{}": "empty braces",
}


def named(token: str) -> str:
    """A token as it stands in the "Active tokens" line: marks, digits and white space with their names after them."""
    bare = token.strip()
    if bare.isdecimal():
        return f"{bare} ({'digit' if len(bare) == 1 else 'number'})"
    name = _mark_names(token)
    return f'"{visible(token)}" ({name})' if name else visible(bare)


def _mark_names(token: str) -> str:
    """The name of a mark, or of several in one token, where all have one: ``):`` is a closing bracket, a colon."""
    names = [_NAMES.get(char) for char in token.strip()[:4]]
    return mark_name(token) or (", ".join(names) if names and all(names) else "")


def mark_name(token: str) -> str:
    """What a mark or white space is called; "" for any other token."""
    name = _NAMES.get(token) or _NAMES.get(token.strip(), "")
    if not name and token and not token.strip():
        return "newlines" if "\n" in token else "spaces"
    return name


def with_names(label: str) -> str:
    """A label with the names of marks that it quotes bare, unless it names them beside: ``'|' in tables`` becomes
    ``vertical bar in tables``."""
    def name_of(quoted: re.Match) -> str:
        name = _mark_names(quoted[1])
        return name if name and name not in label else quoted[0]

    return re.sub(r"'([^\w\s']{1,4})'", name_of, label)


def visible(text: str) -> str:
    """The text on one line: whatever ends a line, and tabs, as backslash escapes."""
    text = text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    return _LINE_ENDS.sub(lambda found: ascii(found[0])[1:-1], text)


def fenced(text: str) -> str:
    """The text on one line, in which nothing can be taken for marks or for the special tokens of a chat: << is
    written \\<\\<, and <| is \\<|."""
    return _LIKE_MARKS.sub(r"\\\g<0>", visible(text)).replace("<|", "<\\|")


def marked(pieces: Iterable[tuple[str, bool]]) -> str:
    """Texts on one line (``fenced``), those that are marked between << and >>; neighbours share their marks."""
    runs = [("".join(text for text, _inside in run), inside) for inside, run in groupby(pieces, itemgetter(1))]
    written = ""
    for at, (text, inside) in enumerate(runs):
        # A sign beside a mark would be read as a part of it, and a backslash before one would take it away.
        text = fenced(text)
        text = re.sub(r"^(?=[<>])", r"\\", text) if at or inside else text
        if at < len(runs) - 1 or inside:
            text = re.sub(r"\\+$", r"\g<0>\g<0>", re.sub(r"(?<!\\)(?=[<>]$)", r"\\", text))
        written += f"<<{text}>>" if inside else text
    return written


def completion_text(tokens: list[str], windows: list[tuple[float, str, str, str]]) -> str:
    """The prompt that the embedded labeler completes with a label; it ends with ``Label:``.

    Args:
        tokens: active tokens, most telling first; repeats and those over ``MOST_TOKENS`` are left out.
        windows: ``(strength 0-10, text before, active text, text after)``, strongest first. Those under
            ``MINIMUM_STRENGTH`` are left out unless nothing else is there, those over ``MOST_WINDOWS`` always.
    """
    shown = list(dict.fromkeys(named(token) for token in tokens))[:MOST_TOKENS]
    strong = [window for window in windows if window[0] >= MINIMUM_STRENGTH] or windows
    lines = [f"Active tokens: {' | '.join(shown)}"]
    for strength, before, active, after in strong[:MOST_WINDOWS]:
        text = f"{visible(before[-BEFORE:])}<<{visible(active)}>>{visible(after[:AFTER])}"
        lines.append(f"{round(strength)}: {text}")
    return "\n".join([*lines, "Label:"])
