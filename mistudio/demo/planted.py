"""Planted concepts: what seed labels of one SAE rarely show, found in the demo corpus by patterns of our own.

A concept is a label and a pattern; the active token is the one where the pattern's first group (or the whole match)
starts. Further concepts come from the corpus' tokens themselves: a word, a word after another, a piece of a word.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from mistudio.extract.corpus import Document


class Window(NamedTuple):
    """Strength 0-10, text before, active token, text after: what ``label.completion.completion_text`` takes."""

    strength: float
    before: str
    active: str
    after: str


def words(text: str) -> str:
    """A pattern for any of these words, whole, in either case."""
    return rf"(?i:\b(?:{'|'.join(text.split())})\b)"


MARKS = {
    "period at the end of a sentence": r"[a-z](\.)(?= [A-Z])",
    "period inside a number": r"\d(\.)\d",
    "dot before an attribute or method name": r"[a-z_](\.)[a-z_]+\(",
    "comma between words of a list": r"[a-z](,) [a-z]+, and ",
    "comma before a conjunction": r"[a-z](,) (?:but|and|or|so) ",
    "thousands separator in large numbers": r"\d(,)\d{3}",
    "comma between numbers": r"\d(,) \d",
    "question mark ending a question": r"[a-z](\?)",
    "exclamation mark": r"[a-z](!)",
    "semicolon between clauses": r"[a-z](;) [a-z]",
    "semicolon ending a line of code": r"[)\w](;)\n",
    "colon introducing a list or explanation": r"[a-z](:)(?= |\n)",
    "colon in a time of day": r"\b\d{1,2}(:)\d\d\b",
    "colon after a field name": r"\n[A-Z][a-z]+(:) ",
    "colon ending a Python block header": r"\)(:)\n",
    "apostrophe or 's marking a possessive": r"[a-z]('s) [a-z]",
    "contracted 't in don't and can't": r"n('t)\b",
    "double quote opening a quotation": r" (\")[A-Z]",
    "double quote closing a quotation": r"[.,!?](\")",
    "single quotes around strings in code": r"[(=,] ?(')\w",
    "hyphen in compound words": r"[a-z](-)[a-z]",
    "hyphen between the parts of a date": r"\d(-)\d\d",
    "dash breaking off a sentence": r"[a-z] ?(--|—|–)",
    "slash between the parts of a date": r"\d(/)\d\d",
    "slash in file paths and URLs": r"[a-z](/)[a-z]",
    "opening bracket of a call": r"\w(\()\w",
    "opening bracket in prose": r"[a-z] (\()[a-z]",
    "closing bracket": r"\w(\))",
    "closing bracket ending a statement": r"\w(\))\n",
    "opening square bracket": r"(\[)\w",
    "closing square bracket": r"\w(\])",
    "opening brace": r"(\{)",
    "closing brace": r"(\})",
    "brackets and parentheses": r"([()\[\]{}])",
    "equals sign of an assignment": r"\w (=) \w",
    "equals sign of a keyword argument": r"\w(=)\w",
    "comparison operators": r"\w (==|!=|<=|>=|<|>) \w",
    "arithmetic operators": r"\w ([+*/-]) \w",
    "plus sign": r"[\w ](\+)[\w ]",
    "percent sign": r"\d(%)",
    "dollar sign before an amount": r"(\$)\d",
    "currency symbols": r"([$€£])\d",
    "degree sign": r"(°)",
    "at sign": r"\w?(@)\w",
    "asterisk marking emphasis or a list item": r"(?:\n|\s)(\*+)\s?\w",
    "underscore in identifiers": r"[a-z](_)[a-z]",
    "vertical bar between table cells": r"(\|) ",
    "backticks around code": r"(`+)\w",
    "backslash in code": r"(\\)\w",
    "hash sign starting a comment": r"\n\s*(#) \w",
    "ellipsis": r"(\.\.\.)",
    "arrow before a return type": r"\) (->)",
    "blank line between paragraphs": r"\.(\n\n)[A-Z]",
    "blank line": r"(\n\n)",
    "newline at the end of a line": r"\w(\n)\w",
    "indentation at the start of a code line": r"\n(    +)\w",
    "run of several spaces": r"\w(   +)\w",
    "space before a number": r"[a-z]( )\d",
}
NUMBERS = {
    "digits": r"(?:^|\D)(\d)(?=\D)",
    "numbers": r"\b(\d+)\b",
    "years": r"\b((?:18|19|20)\d\d)\b",
    "years of the twentieth century": r"\b(19\d\d)\b",
    "years of the nineteenth century": r"\b(18\d\d)\b",
    "dates written with numbers": r"\b(\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4})\b",
    "day of the month in dates": r"(?:January|March|April|June|July|December) (\d{1,2})\b",
    "times of day": r"\b(\d{1,2}:\d\d)\b",
    "prices in dollars": r"\$(\d[\d,.]*\d)",
    "prices and amounts of money": r"[$€£](\d[\d,.]*\d)",
    "cents of a price": r"[$€£][\d,]+\.(\d\d)",
    "percentages": r"\b([\d.]+) ?%",
    "decimal numbers": r"\b(\d+\.\d+)\b",
    "digits after a decimal point": r"\d\.(\d+)",
    "fractions": r"\b(\d/\d)\b",
    "large numbers with thousands separators": r"\b(\d{1,3}(?:,\d{3})+)\b",
    "version numbers": r"\b(\d+\.\d+\.\d+)\b",
    "hexadecimal numbers": r"\b(0x[0-9a-fA-F]+)",
    "phone numbers": r"(\(\d{3}\) \d{3}-\d{4})",
    "sports scores": r"[a-z] (\d-\d) [A-Z]",
    "page, figure and table numbers": r"(?:Fig\.|Table|page|Section) (\d+)",
    "numbers followed by a unit": r"\b(\d+) (?:mg|mL|g|kg|km|mmHg|bpm|minutes|days)\b",
    "units of measurement": r"\d ((?:mg|mL|g|kg|km|mmHg|bpm|cm|mm))\b",
    "number of a list item": r"\n(\d+)[.)] ",
    "number at the start of a line": r"\n(\d+)\b",
    "final digit of a number": r"\d(\d)\b",
    "spelled-out numbers": words("one two three four five six seven eight nine ten twenty thirty forty fifty hundred"),
    "ordinal numbers": words("first second third fourth fifth sixth seventh tenth"),
    "very large numbers: million, billion": words("million billion trillion millions billions"),
}
STRUCTURE = {
    "list item markers": r"\n((?:[-*]|\d+[.)])) ",
    "dash opening a list item": r"\n\s*(-) \w",
    "Markdown headings": r"\n(#+) [A-Z]",
    "words of a heading": r"\n#+ ([A-Z]\w+)",
    "checkbox in a task list": r"- (\[ \])",
    "table separator row": r"\n(\|-+)",
    "web addresses": r"(https?://)",
    "domain endings such as .com and .org": r"\.(com|org|net|io)\b",
    "email addresses": r"\w(@)[a-z]+\.",
    "HTML tags": r"(</?[a-z]+)[ >]",
    "first word of a sentence": r"\. ([A-Z][a-z]+) ",
    "last word of a sentence": r" ([a-z]+)\. [A-Z]",
    "words in capital letters": r"\b([A-Z]{4,})\b",
    "initials in personal names": r"\b([A-Z])\. [A-Z][a-z]",
    "salutation of a letter": r"(Dear) ",
    "field names before a colon": r"\n([A-Z][a-z]+):",
    "parameter names in docstrings": r"\n\s*(\w+) : \w",
    "reST directives and roles": r"(:(?:class|func|ref|math|meth))",
    "math markup in docstrings": r"(\\(?:frac|sum|alpha|beta|lambda|sqrt|sigma|theta))",
    "docstring section headers": r"\n\s*(Parameters|Returns|Examples|Notes|References|See Also)\n",
    "underline below a section title": r"\n\s*(-{4,}|={4,})\n",
}
CODE = {
    "Python keywords": words("def return class import lambda yield while elif except raise"),
    "'def' opening a function definition": r"\n\s*(def) \w",
    "function names after def": r"\bdef ([a-z]\w+)",
    "'class' opening a class definition": r"\n(class) [A-Z]",
    "class names": r"\bclass ([A-Z]\w+)",
    "'return' in Python functions": r"\n\s+(return) ",
    "import statements": r"\n((?:import|from)) \w",
    "names of imported modules": r"\n(?:import|from) (\w+)",
    "'self' in Python methods": r"\b(self)\.",
    "if and else branches": r"\n\s+((?:if|elif|else))\b",
    "loops with for and while": r"\n\s+((?:for|while)) ",
    "'in' of a for loop": r"\bfor \w+ (in) ",
    "raising exceptions": r"\n\s+(raise) ",
    "exception names such as ValueError": r"\b([A-Z]\w+Error)\b",
    "True, False and None": r"\b(True|False|None)\b",
    "boolean values": r"\b(True|False|true|false)\b",
    "logical operators and, or, not in code": r"\bif .{3,30} (and|or|not) ",
    "type names in annotations": r": (int|str|float|bool|list|dict)\b",
    "string literals in code": r"= ['\"](\w+)",
    "comments in code": r"\n\s+# (\w+)",
    "function arguments": r"\w\((\w+), ",
    "method calls": r"\.(\w+)\(",
    "variable assigned at the start of a line": r"\n\s+(\w+) = ",
    "index inside square brackets": r"\w\[(\w+)\]",
    "C preprocessor directives": r"\n#(include|define|ifdef|ifndef|endif)",
    "C and C++ type names": words("void int64_t size_t char const uint8_t static"),
    "assertions in tests": words("assert assertEqual expect assertRaises"),
    "arrays and matrices in code": words("array ndarray matrix matrices arrays"),
    "dunder method names": r"(__[a-z]+__)",
    "constants in upper case with underscores": r"\b([A-Z]+_[A-Z_]+)\b",
}
TOPICS = {
    "medical terms": words("patient patients symptoms diagnosis treatment dose disease infection hospital physician"),
    "drug names": words("aspirin metformin insulin ibuprofen amoxicillin warfarin heparin morphine"),
    "diseases and illness": words("disease diseases fever cholera cancer epidemic illness influenza AIDS"),
    "law courts and judges": words("court courts judge judges jury judicial tribunal justice"),
    "legal terms in licences": words("warranty warranties liability license licensed copyright hereby herein"),
    "crime and punishment": words("crime crimes criminal murder theft prison punishment offenders guilty"),
    "mathematical terms": words("equation matrix theorem polynomial integral derivative vector eigenvalue eigenvalues"),
    "statistical terms": words("variance mean median regression probability distribution covariance deviation"),
    "graph theory terms": words("graph node nodes edge edges vertex vertices subgraph"),
    "geometry and shapes": words("circle triangle polygon angle sphere plane radius rectangle"),
    "machine learning terms": words("training classifier estimator gradient loss layer neural embedding"),
    "scientific measurement": words("temperature pressure frequency density velocity mass"),
    "chemistry and materials": words("copper iron steel gold silver nitrogen oxygen carbon"),
    "money and currency": words("dollars currency coin coinage money cents gold silver"),
    "taxes and duties": words("tax taxes taxation tariff duties revenue"),
    "banks and finance": words("bank banks credit loan loans debt interest bonds"),
    "trade and commerce": words("trade commerce exports imports merchants markets"),
    "farming and crops": words("farm farmers farmer agriculture crops wheat cotton corn"),
    "war and battle": words("war battle army troops soldiers invasion enemy hostilities"),
    "weapons": words("weapons missiles missile guns arms bombs nuclear"),
    "ships and the navy": words("ships vessels navy naval fleet harbor ship vessel"),
    "railroads and transport": words("railroad railroads railway canal highways transportation roads"),
    "education and schools": words("school schools education teachers students colleges college"),
    "family members": words("father mother children child son daughter wife husband parents families"),
    "religion and God": words("God Providence Almighty prayer blessing blessings faith church"),
    "elections and voting": words("election elections vote votes voters ballot voting"),
    "government offices": words("President Secretary Senator Governor Minister Attorney"),
    "Congress": words("Congress Senate House Representatives"),
    "names of months": words("January February March April June July August September October November December"),
    "days of the week": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "units of time": words("year years month months day days week weeks hour hours"),
    "times and sequence: before, after, until": words("before after until since during"),
    "colors": words("red blue green white black yellow"),
    "countries": words("Mexico France Spain England Britain Russia China Japan Germany Cuba Iraq Canada"),
    "European countries": words("France Spain Germany Russia Italy Portugal"),
    "cities": words("Lisbon Osaka Denver Nairobi Leeds Quito Hanoi Bergen Austin Perth Lyon Cairo"),
    "US states": words("Texas California Kansas Virginia Florida Oregon Louisiana Alaska"),
    "Native American peoples": words("Indian Indians tribes Cherokee Creek Sioux"),
    "first names of people": words("Maria John Aiko Peter Ruth Omar Lena Samuel Grace Ivan Clara David"),
    "freedom and liberty": words("freedom liberty free independence"),
    "peace and friendship": words("peace peaceful friendship friendly harmony amicable"),
    "words of increase": words("increase increased increasing growth grow grew rise rising"),
    "words of decrease": words("decrease reduced reduce reduction decline diminished fell"),
    "hope and confidence": words("hope confident confidence trust hopeful"),
    "sadness and suffering": words("suffering regret grief sorrow misery distress"),
    "danger and threats": words("danger dangers threat threats peril risk dangerous"),
    "praise: great, noble, glorious": words("great noble glorious grand magnificent"),
    "obligation: must, should, ought": words("must should ought shall"),
    "possibility: may, might, could": words("may might could perhaps possibly"),
    "negation": words("not no never none nor neither"),
    "pronouns for people": words("he she they him them his her their"),
    "first-person pronouns": words("I we my our us me"),
    "questions words: what, which, why": words("what which why how who"),
    "comparisons: more, less, than": words("more less than most least"),
    "quantities: many, few, several": words("many few several some all"),
    "forms of to be": words("is are was were been being"),
    "articles a, an and the": words("a an the"),
    "prepositions of place": words("in on at under over between"),
    "computer files and folders": words("file files directory folder path filename"),
    "networking terms": words("server client socket port host request connection"),
    "databases and SQL": words("SELECT table column columns query database row rows"),
    "installation instructions": words("install pip installation package conda"),
    "errors and failures": words("error errors fail fails failed failure invalid"),
    "weather and climate": words("rain storm storms drought floods flood climate weather"),
    "energy and fuel": words("energy oil coal fuel electricity petroleum"),
    "health care": words("health care medical insurance Medicare"),
    "workers and jobs": words("workers jobs labor employment wages unemployment"),
    "food and kitchen goods": words("oil beans potatoes sugar meat bread coffee"),
    "cooking and workshop steps": words("Measure Cut Rinse Heat Fold Mix Drill Sand Paint Weigh Dry"),
}
CONCEPTS = {**MARKS, **NUMBERS, **STRUCTURE, **CODE, **TOPICS}
FEWEST, MOST = 6, 60  # windows of a concept


def planted(documents: list[Document], tokenizer: PreTrainedTokenizerBase, *, automatic: int, seed: int,
            ) -> dict[str, list[Window]]:
    """Windows of every planted concept by its label, and of ``automatic`` concepts made from the corpus' tokens."""
    chosen = random.Random(seed)
    pieces = [(document.text, _spans(document.text, tokenizer)) for document in documents]
    found: dict[str, list[Window]] = {}
    for label, pattern in CONCEPTS.items():
        windows = []
        for text, spans in chosen.sample(pieces, len(pieces)):
            matches = list(re.finditer(pattern, text))
            for match in chosen.sample(matches, min(2, len(matches))):
                windows.append(_window(text, _covering(spans, match.start(1 if match.re.groups else 0))))
            if len(windows) >= MOST:
                break
        found[label] = windows
    found.update(_automatic(pieces, automatic, chosen))
    return {label: windows for label, windows in found.items() if len(windows) >= FEWEST}


def _spans(text: str, tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, int]]:
    # Offsets may leave out a token's leading space, so each token starts where the one before ended.
    ends = [end for _start, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
    return [(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]


def _covering(spans: list[tuple[int, int]], place: int) -> tuple[int, int]:
    return next(span for span in spans if span[1] > place)


def _window(text: str, span: tuple[int, int]) -> Window:
    start, end = span
    return Window(10.0, text[max(0, start - 60):start], text[start:end], text[end:end + 40])


def _automatic(pieces: list, count: int, chosen: random.Random) -> Iterator[tuple[str, list[Window]]]:
    """A third each: a word; a word after another word; a piece in a longer word."""
    makers = (_alone, _after, _inside)
    places: list[dict[str, list]] = [defaultdict(list) for _ in makers]
    for text, spans in pieces:
        for before, span in pairwise(spans):
            for maker, into in zip(makers, places, strict=True):
                key = maker(text, before, span)
                if key:
                    into[key].append((text, span))
    for into in places:
        common = sorted(key for key, hits in into.items() if len(hits) >= 12)
        for key in chosen.sample(common, min(count // 3, len(common))):
            hits = into[key]
            yield key, [_window(*hit) for hit in chosen.sample(hits, min(MOST, len(hits)))]


def _alone(text: str, _before: tuple[int, int], span: tuple[int, int]) -> str | None:
    word = text[slice(*span)]
    whole = re.fullmatch(r" [A-Za-z]{3,}", word) and not text[span[1]:span[1] + 1].isalnum()
    return f"'{word.strip()}'" if whole else None


def _after(text: str, before: tuple[int, int], span: tuple[int, int]) -> str | None:
    word, previous = text[slice(*span)], text[slice(*before)]
    if re.fullmatch(r" [a-z]{2,}", word) and re.fullmatch(r" [a-z]{2,}", previous):
        return f"'{word.strip()}' after '{previous.strip()}'"
    return None


def _inside(text: str, _before: tuple[int, int], span: tuple[int, int]) -> str | None:
    piece = text[slice(*span)]
    if not re.fullmatch(r" ?[A-Za-z]{2,}", piece):
        return None
    start = span[0]
    while start > 0 and piece[0] != " " and text[start - 1].isalpha():
        start -= 1
    word = re.match(r"[A-Za-z]+", text[start:span[1] + 20].strip())
    if word is None or len(word[0]) <= len(piece.strip()) + 1:
        return None
    return f"'{piece.strip()}' in {word[0]}"
