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

from mistudio.demo.concepts import CONCEPTS
from mistudio.extract.corpus import Document

FEWEST, MOST = 6, 60  # windows of a concept


class Window(NamedTuple):
    """Strength 0-10, text before, active token, text after: what ``label.completion.completion_text`` takes."""

    strength: float
    before: str
    active: str
    after: str


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
