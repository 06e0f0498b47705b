"""Planted concepts: what seed labels of one SAE rarely show, found in text by patterns of our own.

The active token of a window is one of those that a concept's pattern marks. Further concepts come from the texts'
tokens themselves: a word, a word after another, a piece of a word. None of the held-out concepts is among them.
"""

import random
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from mistudio.demo.concepts import Concept, concepts, tells_held_out
from mistudio.extract.corpus import Document, document_hash

FEWEST, MOST = 6, 60  # windows of a concept
RESERVED = 4  # one document in so many is for the benchmark, not for training


class Window(NamedTuple):
    """Strength 0-10, text before, active token, text after: what ``label.completion.completion_text`` takes."""

    strength: float
    before: str
    active: str
    after: str


def is_reserved(document: Document) -> bool:
    """Whether no labeler was trained on a document of the demo's corpus."""
    return document_hash(f"planted/{document.name}") % RESERVED == 0


def planted(documents: list[Document], tokenizer: PreTrainedTokenizerBase, *, automatic: int, seed: int,
            ) -> dict[str, list[Window]]:
    """Windows of every concept to train on by its label, and of ``automatic`` concepts made from the texts' tokens."""
    chosen = random.Random(seed)
    pieces = [(document.text, token_spans(document.text, tokenizer)) for document in documents]
    found = {concept.label: _windows_of(concept, pieces, chosen) for concept in concepts() if not concept.held_out}
    found.update(_automatic(pieces, automatic, chosen))
    return {label: windows for label, windows in found.items()
            if len(windows) >= FEWEST and not tells_held_out(label, (window[1:] for window in windows))}


def _windows_of(concept: Concept, pieces: list, chosen: random.Random) -> list[Window]:
    windows: list[Window] = []
    for text, spans in chosen.sample(pieces, len(pieces)):
        found = concept.spans(text)
        for start, end in chosen.sample(found, min(2, len(found))):
            if tokens := covered(spans, start, end):
                windows.append(_window(text, spans[chosen.choice(tokens)]))
        if len(windows) >= MOST:
            break
    return windows


def token_spans(text: str, tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, int]]:
    """Where each token of a text starts and ends, in characters."""
    # Offsets may leave out a token's leading space, so each token starts where the one before ended.
    ends = [end for _start, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
    return [(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]


def covered(spans: list[tuple[int, int]], start: int, end: int) -> list[int]:
    """The places of the tokens that lie at least half in a stretch of text; if none does, of the first that touches it.
    """
    touching = range(bisect_right(spans, start, key=itemgetter(1)), bisect_left(spans, end, key=itemgetter(0)))
    inside = [place for place in touching
              if 2 * (min(end, spans[place][1]) - max(start, spans[place][0])) >= spans[place][1] - spans[place][0]]
    return inside or list(touching[:1])


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
