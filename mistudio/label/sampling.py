"""Which windows to show: seeded, without near-duplicates, and by strength, so that faint ones do not drown the pattern.

The mix of strongest windows and quantiles of a random sample follows "Automatically Interpreting Millions of Features
in Large Language Models" (Paulo et al. 2024); the limit on faint windows comes from measurements on small SAEs, where
activations under 3/10 of the maximum are mostly noise.
"""

import math
from dataclasses import replace

import numpy as np

from mistudio.store.examples import SOURCES, Examples

FAINT = 3.0
ALIKE = 0.8
FEWEST = 5


def cropped(examples: Examples, window: int | None) -> Examples:
    """The same windows with at most ``window`` tokens around each peak; as stored when None."""
    width = examples.tokens.shape[1]
    if window is None or window >= width:
        return examples
    start = np.clip(examples.peak - window // 2, 0, width - window)
    columns = start[:, None] + np.arange(window)
    return replace(examples, peak=examples.peak - start, tokens=np.take_along_axis(examples.tokens, columns, 1),
                   activations=np.take_along_axis(examples.activations, columns, 1))


def distinct(examples: Examples) -> Examples:
    """Strongest top windows first, then random ones in their order; of near-identical windows only the first.

    Two windows are near-identical when, laid over each other at their peaks, 8 of 10 tokens are the same.
    """
    count = len(examples)
    strength = examples.strength()
    order = np.lexsort((np.where(examples.source == 0, -strength, np.arange(count)), examples.source))
    aligned = _aligned(examples)
    same = (aligned[:, None] == aligned).sum(axis=2)
    length = (examples.tokens >= 0).sum(axis=1)
    alike = (same >= ALIKE * np.minimum(length[:, None], length)) | (examples.context[:, None] == examples.context)
    left = np.ones(count, dtype=bool)
    kept = []
    for row in order.tolist():
        if left[row]:
            kept.append(row)
            left &= ~alike[row]
    return examples.take(np.array(kept, dtype=np.int64))


def choose(examples: Examples, maximum: float, count: int, strategy: str, random: np.random.Generator) -> list[int]:
    """Rows of at most ``count`` of these distinct windows. ``maximum`` is the feature's; it makes 10 of 10."""
    strength = examples.strength() / maximum * 10
    rows = np.arange(len(examples))
    top = rows[examples.source == SOURCES.index("top")]
    sample = rows[examples.source == SOURCES.index("random")]
    if strategy == "top":
        chosen = list(top[:count])
    elif strategy == "quantile":
        chosen = across(sample, strength, count, random)
    else:
        chosen = _mixed(top, sample, strength, count, random)
    if len(chosen) < min(FEWEST, count):
        chosen += [row for row in (*top, *sample) if row not in chosen][:min(FEWEST, count) - len(chosen)]
    return [int(row) for row in chosen]


def _mixed(top: np.ndarray, sample: np.ndarray, strength: np.ndarray, count: int, random: np.random.Generator) -> list:
    chosen = list(top[:math.ceil(count / 3)])
    faint = sample[strength[sample] < FAINT]
    # Two of twenty: enough to show what faint activity looks like.
    few = min(len(faint), (count - len(chosen)) // 6)
    chosen += across(sample[strength[sample] >= FAINT], strength, count - len(chosen) - few, random)
    chosen += [row for row in top if row not in chosen][:count - len(chosen) - few]
    return chosen + list(random.permutation(faint)[:few])


def across(rows: np.ndarray, strength: np.ndarray, count: int, random: np.random.Generator) -> list:
    """One row of each of ``count`` equal quantiles of strength."""
    if count <= 0:
        return []
    if len(rows) <= count:
        return list(rows)
    ordered = rows[np.argsort(strength[rows], kind="stable")]
    return [random.choice(part) for part in np.array_split(ordered, count)]


def _aligned(examples: Examples) -> np.ndarray:
    """``[n, 2 * window]`` tokens with every peak in the same column; where there is none, what no other row has."""
    count, width = examples.tokens.shape
    none = np.broadcast_to(-1 - np.arange(count, dtype=np.int32)[:, None], (count, 2 * width))
    aligned = none.copy()
    columns = width - examples.peak[:, None] + np.arange(width)
    aligned[np.arange(count)[:, None], columns] = np.where(examples.tokens >= 0, examples.tokens, none[:, :width])
    return aligned[:, (aligned >= 0).sum(axis=0) > 1]
