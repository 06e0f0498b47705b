"""The concepts that are planted: for each a label, the pattern that finds it in text, and which labels name it.

Concepts stand in families of near relatives. A third of the concepts, whole families at a time, is held out of all
training and tuning of the embedded labeler, and tells how well it names what it was never taught
(``benchmarks/planted.py``).
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from mistudio.demo.concepts import code, marks, numbers, structure, topics
from mistudio.extract.corpus import document_hash

KINDS = {"punctuation": marks.FAMILIES, "number": numbers.FAMILIES, "structure": structure.FAMILIES,
         "code": code.FAMILIES, "topic": topics.FAMILIES}
HELD_OUT = 1 / 3


class Concept(NamedTuple):
    """``pattern`` marks in its first group (or as a whole) what is active; ``accepted`` finds the concept's name in a
    label in lower case. ``held_out`` says that no labeler was trained on it or on its family."""

    label: str
    kind: str
    family: str
    pattern: str
    accepted: str
    held_out: bool

    def named_by(self, label: str) -> bool:
        """Whether a label names this concept. To quote some of a topic's words is not to name the topic."""
        text = re.sub(r"'[^']*'", "", label) if self.kind == "topic" else label
        return re.search(self.accepted, text.lower()) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it is in a text, as ``(start, end)`` of characters."""
        return [match.span(1 if match.re.groups else 0) for match in re.finditer(self.pattern, text)]


@cache
def concepts() -> tuple[Concept, ...]:
    """All of them, in a fixed order."""
    found = []
    for kind, families in KINDS.items():
        kept_out = _held_out(families)
        found += [Concept(label, kind, family, *patterns, family in kept_out)
                  for family, members in families.items() for label, patterns in members.items()]
    return tuple(found)


def _held_out(families: dict[str, dict]) -> set[str]:
    """Families in an order that their names' hashes decide, until they hold a third of the kind's concepts."""
    wanted = HELD_OUT * sum(len(members) for members in families.values())
    chosen: set[str] = set()
    for family in sorted(families, key=document_hash):
        if sum(len(families[name]) for name in chosen) + len(families[family]) / 2 <= wanted:
            chosen.add(family)
    return chosen


def tells_held_out(label: str, windows: Iterable[tuple[str, str, str]]) -> bool:
    """Whether to train on this feature would teach a held-out concept: the label names it, and half of the active
    tokens of its windows ``(before, active, after)`` are instances of it."""
    windows = list(windows)
    return any(concept.held_out and concept.named_by(label)
               and 2 * sum(_holds(concept, *window) for window in windows) >= len(windows) for concept in concepts())


def _holds(concept: Concept, before: str, active: str, after: str) -> bool:
    first, last = len(before), len(before) + len(active)
    return any(start < last and end > first for start, end in concept.spans(before + active + after))
