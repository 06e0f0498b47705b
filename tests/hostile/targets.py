"""Everything that is fuzzed, by name, and how a target is run."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from sqlalchemy import Engine

from mistudio.errors import MistudioError
from tests.hostile.mutations import GENERATORS
from tests.hostile.saes import SAEs
from tests.hostile.texts import Stored, batch_line, corpus_file, label_file, reply

Target = Callable[[random.Random], None]
# What needs no database.
READERS = ("reply", "batch line", "label file", "corpus file", "SAE")
STORED = ("label import", "features import", "Neuronpedia import", "search box", "address")


def readers(folder: Path) -> dict[str, Target]:
    """Targets that need a folder alone."""
    return dict(zip(READERS, (reply, batch_line, label_file, partial(corpus_file, folder=folder),
                              SAEs(folder).attempt), strict=True))


def stored(engine: Engine, extraction: int, folder: Path) -> dict[str, Target]:
    """Targets that need a database."""
    held = Stored(engine, extraction, folder)
    return dict(zip(STORED, (held.labels, held.features, held.neuronpedia, held.query, held.address), strict=True))


def attempt(target: Target, by: random.Random) -> str:
    """What came of one case: ``read``, or the name of our own error; any other is raised."""
    try:
        target(by)
    except MistudioError as error:
        assert error.message and len(error.message) < 1000, f"{len(error.message)} characters of message"
        return type(error).__name__
    return "read"


def fuzz(target: Target, cases: int, start: int, found: Callable[[Exception], str] | None = None) -> Counter:
    """How many cases ended how.

    Args:
        start: Hypothesis's seed; the same one draws the same cases.
        found: names an error that is none of ours, which is then counted; it is raised where this is not given.
    """
    counts: Counter[str] = Counter()

    @seed(start)
    @settings(max_examples=cases, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(GENERATORS)
    def one(by: random.Random) -> None:
        try:
            counts[attempt(target, by)] += 1
        except Exception as error:
            if found is None:
                raise
            counts[found(error)] += 1

    one()
    return counts
