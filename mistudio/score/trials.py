"""The windows that a label is tried on: active ones across the feature's strengths, and windows known to be silent.

Detection and fuzzing are the scores of "Automatically Interpreting Millions of Features in Large Language Models"
(Paulo et al. 2024).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from sqlmodel import Session

from mistudio.label.material import Material, NoEvidence
from mistudio.label.negatives import silent_windows
from mistudio.label.sampling import across, distinct
from mistudio.store import Feature, Label
from mistudio.store.examples import SOURCES, SPLITS, Examples, load_examples

FEWEST = 5
DECILES = 10
# Of 10; what is fainter reads as silent, in the evidence as here.
FAINTEST = 0.5


@dataclass(frozen=True)
class Trial:
    """A window to judge.

    ``id`` is source and number (as in ``label.evidence``); ``texts`` and ``strengths`` (0 to 10) are its tokens';
    ``right`` is the answer that a perfect label gives; ``strength`` the feature's maximum in it, and ``decile`` where
    that lies among the feature's random examples (-1 in a silent window). ``marks`` are the tokens shown as marked.
    """

    id: str
    texts: tuple[str, ...]
    strengths: tuple[float, ...]
    right: bool
    strength: float = 0.0
    decile: int = -1
    marks: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def record(self, said: bool) -> dict:
        """How a misjudged window is stored."""
        record = {"id": self.id, "said": said, "strength": round(self.strength, 1), "tokens": list(self.texts),
                  "strengths": [round(value, 1) for value in self.strengths]}
        return record | ({"marks": sorted(self.marks)} if self.marks else {})


@dataclass(frozen=True)
class Trials:
    """What one label is tried on: ``detection`` (active and silent windows; also for the embedding score) and
    ``fuzzing`` (active windows, marked rightly or wrongly)."""

    detection: tuple[Trial, ...]
    fuzzing: tuple[Trial, ...]


def draw_trials(work: Session, feature: Feature, material: Material, split: str, active: int, silent: int,
                seed: int, *, rough: bool = False) -> Trials:
    """Windows of a split to try a feature's labels on; the same arguments draw the same.

    Args:
        rough: silent windows are any, not hard ones: enough for an estimate.

    Raises:
        NoEvidence: the split has too few windows of one of the two sorts.
    """
    stored = load_examples(work, feature)
    pool = distinct(stored.only(split=split)) if stored is not None and feature.max_activation > 0 else None
    if pool is None or len(pool) < FEWEST:
        raise NoEvidence(f"The feature has fewer than {FEWEST} windows in the {split} split.",
                         "Extract more text to see more of it.")
    random = np.random.default_rng([seed, feature.index, SPLITS.index(split)])
    strength = pool.strength() / feature.max_activation * 10
    rows = _active(pool, strength, active, random)
    positive = [_trial(pool, row, strength, feature.max_activation, material.vocabulary) for row in rows]
    strongest = pool.take(np.argsort(-strength, kind="stable"))
    numbers = silent_windows(material, feature.index, strongest, silent, random, split,
                             hard=0 if rough else silent // 2)
    if len(numbers) < FEWEST:
        raise NoEvidence(f"The feature is known to be silent in fewer than {FEWEST} windows of the {split} split.",
                         "Extract again with more reference windows (--references).")
    negative = [_silent(material, int(number)) for number in numbers]
    every = [_trial(pool, row, strength, feature.max_activation, material.vocabulary)
             for row in np.argsort(-strength, kind="stable")]
    return Trials(_shuffled([*positive, *negative], random), _shuffled(_fuzzed(every, active, random), random))


def halves(trials: Trials) -> tuple[Trials, Trials]:
    """Two parts without a window in common, each with half of the active and half of the silent (or wrongly marked)
    windows."""
    def part(windows: tuple[Trial, ...], first: int) -> tuple[Trial, ...]:
        kept = {id(trial) for right in (True, False)
                for trial in [each for each in windows if each.right == right][first::2]}
        return tuple(trial for trial in windows if id(trial) in kept)

    first, second = (Trials(part(trials.detection, at), part(trials.fuzzing, at)) for at in (0, 1))
    return first, second


def check_unseen(label: Label, trials: Iterable[Trial]) -> None:
    """Make sure that the labeler saw none of these windows.

    Raises:
        AssertionError: it did, which only a defect can cause: the splits share no document.
    """
    shown = {_place(name) for names in ("examples", "negatives", "revision") for name in
             (label.evidence or {}).get(names, [])}
    seen = sorted(trial.id for trial in trials if _place(trial.id) in shown)
    if seen:
        raise AssertionError(f"Label {label.id} was based on windows that it is now scored on: {', '.join(seen)}")


def _place(name: str) -> tuple[bool, str]:
    """Top and random windows of one context are one place."""
    source, number = name.rsplit(":", 1)
    return source == "reference", number


def _active(pool: Examples, strength: np.ndarray, count: int, random: np.random.Generator) -> list[int]:
    """Rows across the deciles of the random sample, filled up with the strongest windows."""
    rows = np.arange(len(pool))
    sample = rows[pool.source == SOURCES.index("random")]
    chosen = [int(row) for row in across(sample, strength, count, random)]
    top = [int(row) for row in rows[pool.source == SOURCES.index("top")]]
    return chosen + top[:count - len(chosen)]


def _trial(pool: Examples, row: int, strength: np.ndarray, maximum: float, vocabulary: list[str]) -> Trial:
    tokens = pool.tokens[row]
    values = np.minimum(pool.activations[row].astype(float) / maximum * 10, 10)
    values = np.where((values >= FAINTEST) | (np.arange(len(tokens)) == pool.peak[row]), values, 0.0)
    shown = np.flatnonzero(tokens >= 0)
    sample = strength[pool.source == SOURCES.index("random")]
    below = (sample < strength[row]).mean() if len(sample) else 1.0
    return Trial(f"{SOURCES[int(pool.source[row])]}:{int(pool.context[row])}",
                 tuple(vocabulary[tokens[at]] for at in shown), tuple(float(values[at]) for at in shown), True,
                 float(min(strength[row], 10)), min(int(below * DECILES), DECILES - 1))


def _silent(material: Material, number: int) -> Trial:
    texts = tuple(material.vocabulary[token] for token in material.tokens[number] if token >= 0)
    return Trial(f"reference:{number}", texts, (0.0,) * len(texts), False)


def _fuzzed(ordered: list[Trial], count: int, random: np.random.Generator) -> list[Trial]:
    """Every second window, by strength, with its active tokens marked; the others with as many silent ones."""
    marked = []
    for place, trial in enumerate(ordered):
        active = [at for at, value in enumerate(trial.strengths) if value > 0]
        silent = [at for at, value in enumerate(trial.strengths) if value == 0 and trial.texts[at].strip()]
        if place % 2 == 0:
            marked.append(replace(trial, marks=frozenset(active)))
        elif len(silent) >= len(active):
            wrong = random.choice(silent, len(active), replace=False)
            marked.append(replace(trial, marks=frozenset(int(at) for at in wrong), right=False))
    return [trial for right in (True, False) for trial in [each for each in marked if each.right == right][:count]]


def _shuffled(trials: list[Trial], random: np.random.Generator) -> tuple[Trial, ...]:
    return tuple(trials[at] for at in random.permutation(len(trials)))
