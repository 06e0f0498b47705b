"""What the test servers answer by default: a short, plausible label, read from the marked tokens of the prompt."""

import json
import keyword
import re
from collections import Counter

MARKS = {
    ".": "periods at sentence ends", ",": "commas between clauses", "?": "question marks", "!": "exclamation marks",
    ":": "colons before a list or block", ";": "semicolons", "-": "hyphens in compound words", "\\n": "line breaks",
    "#": "hash signs that open comments", "%": "percent signs after numbers", "=": "equals signs in assignments",
    "_": "underscores inside names", '"': "double quotes around text", "'": "apostrophes and single quotes",
    "*": "asterisks in lists and emphasis", "/": "slashes in paths", "|": "vertical bars in tables",
}
TOPICS = {
    "court and law terms": "court judge plaintiff defendant statute law appeal jury legal license copyright warranty",
    "prices in dollars": "$ dollars cents price cost usd",
    "medical terms": "patient patients dose disease health blood treatment clinical",
    "mathematical terms": "matrix vector equation integral polynomial theorem sqrt eigenvalues",
    "months and dates": "january february march april june july august september october november december",
    "number words": "one two three four five six seven eight nine ten hundred thousand million",
}


def plausible(messages: list[dict]) -> str:
    """A JSON answer to the last message that carries evidence, or windows to judge."""
    if messages[-1]["content"].startswith("Label: "):
        return verdicts(messages[-1]["content"])
    shown = [message["content"] for message in messages if "Active windows" in message["content"]]
    tokens, windows = read_evidence(shown[-1]) if shown else ([], [])
    label, kind = name_of(tokens, windows)
    strongest = ", ".join(f"“{token.strip() or 'space'}”" for token in dict.fromkeys(tokens[:6]))
    return json.dumps({"label": label, "kind": kind, "confidence": 0.8 if len(set(tokens)) < 4 else 0.65,
                       "explanation": f"Its strongest activations are on {strongest}."})


def verdicts(question: str) -> str:
    """What a judge says that looks for the words of the label (or its topic's) in a window, or in what is marked."""
    label = re.search(r"^Label: (.*)$", question, flags=re.MULTILINE)[1]
    windows = re.findall(r"^(\d+)\. (.*)$", question, flags=re.MULTILINE)
    return json.dumps({"answers": [
        {"window": int(number), "fits": fits(label, "".join(re.findall(r"<<(.*?)>>", text)) or text)}
        for number, text in windows]})


def fits(label: str, text: str) -> bool:
    """Whether a text holds what a label of ``name_of`` names."""
    known = {"digits in numbers": r"\d", "closing brackets": r"[)\]}]", "opening brackets": r"[(\[{]",
             "HTML tags": r"<\w", "Python keywords": r"\b(def|return|class|import)\b",
             "prices in dollars": r"\$|dollars|cents"}
    words = "|".join(re.escape(word) for word in TOPICS.get(label, label).split())
    return bool(re.search(known.get(label, rf"(?i)\b({words})\b"), text))


def read_evidence(text: str) -> tuple[list[str], list[str]]:
    """The strongest active token of each window, strongest window first, and the windows themselves."""
    windows = re.findall(r"^\d+\. (.*<<.*>>.*)$", text, flags=re.MULTILINE)
    tokens = []
    for line in re.findall(r"^   active: (.*)$", text, flags=re.MULTILINE):
        pairs = re.findall(r'"(.*?)" (\d+)(?:, |$)', line)
        if pairs and max(int(strength) for _token, strength in pairs) >= 3:
            tokens.append(max(pairs, key=lambda pair: int(pair[1]))[0])
    return tokens, windows


def name_of(tokens: list[str], windows: list[str]) -> tuple[str, str]:
    """Label and kind."""
    bare = [token.strip() for token in tokens]
    if not bare:
        return "no clear pattern", "other"
    words = Counter(bare).most_common()
    first, count = words[0]
    code = sum(bool(re.search(r"\(.*\)|import |self|def |==|\\n    ", window)) for window in windows) * 2 > len(windows)

    def most(test) -> bool:
        return sum(bool(test(token)) for token in bare) * 3 >= len(bare) * 2

    for topic, members in TOPICS.items():
        if most(lambda token, known=frozenset(members.split()): token.lower() in known or token[:1] in known):
            return topic, "number" if topic in ("prices in dollars", "number words") else "domain"
    if most(lambda token: token.isdigit()):
        return "digits in numbers", "number"
    if most(lambda token: re.fullmatch(r"[)\]}]+", token)):
        return "closing brackets", "punctuation"
    if most(lambda token: re.fullmatch(r"[(\[{]+", token)):
        return "opening brackets", "punctuation"
    if most(lambda token: token.startswith("<") and len(token) > 1):
        return "HTML tags", "code"
    if code and most(keyword.iskeyword):
        return (f"Python keyword '{first}'" if count * 2 > len(bare) else "Python keywords"), "code"
    if most(keyword.iskeyword) and len(words) > 2:
        return "Python keywords", "code"
    if count * 2 > len(bare) and first in MARKS:
        return MARKS[first], "punctuation"
    if count * 2 > len(bare) and re.search(r"\w", first):
        return (f"'{first}' in Python code" if code else f"'{first}' in prose"), "code" if code else "token"
    named = [f"'{word}'" for word, _count in words[:2] if word]
    return f"{' and '.join(named) or 'white space'} {'in code' if code else 'in similar phrases'}", "concept"
