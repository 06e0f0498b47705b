"""Windows in which a feature is known to be silent, the hard ones first: labeling shows them, scoring asks about them.

A silent window is hard when it holds a token that the feature is active on elsewhere, or when its text is near that of
the feature's strongest windows (all-MiniLM-L6-v2).
"""

from collections.abc import Collection

import numpy as np

from mistudio.label.material import Material
from mistudio.store.examples import SPLITS, Examples

STRONGEST = 5
# Encoding a feature's own windows would take longer than all else that a label needs. Instead its place is the mean of
# the encoded windows, weighted by the rare tokens they share with it, to this power.
SHARPNESS = 4


def silent(material: Material, index: int, split: str) -> np.ndarray:
    """Numbers ``[n]`` of all reference windows of a split in which a feature is known to be silent."""
    quiet = material.split == SPLITS.index(split)
    quiet[material.active_in(index)] = False
    return np.flatnonzero(quiet)


def silent_windows(material: Material, index: int, shown: Examples, count: int, random: np.random.Generator,
                   split: str, *, hard: int | None = None, avoid: Collection[int] = frozenset()) -> list[int]:
    """Choose silent windows: half of the hard ones with the feature's tokens, half near in text.

    Args:
        shown: windows of the feature, strongest first; their peaks are its tokens, the first five its text.
        count: how many; there may be fewer.
        split: the split they are from.
        hard: how many of them are hard, the others at random; as many as there are when None.
        avoid: numbers that are chosen only when all others are.

    Returns:
        Numbers of reference windows, each once; those to avoid last.

    Raises:
        ProviderSetupError: the encoder cannot be loaded.
    """
    quiet = random.permutation(silent(material, index, split))
    if not count or not len(quiet):
        return []
    same_token = material.holding(shown.tokens[np.arange(len(shown)), shown.peak]).any(axis=1)[quiet]
    # The encoder is not loaded where it decides nothing.
    near = _nearest(material, shown, split) if hard != 0 and len(quiet) > count else []
    known = np.isin(quiet, list(avoid))
    chosen: list[int] = []
    for fresh in (~known, known):
        wanted = count - len(chosen)
        few = wanted if hard is None else min(hard, wanted)
        ours, rest = quiet[fresh & same_token].tolist(), quiet[fresh].tolist()
        able = set(rest)
        first = ours[:few - few // 2] + [number for number in near if number in able] + ours
        chosen += list(dict.fromkeys(list(dict.fromkeys(first))[:few] + rest))[:wanted]
    return chosen


def _nearest(material: Material, shown: Examples, split: str) -> list[int]:
    """Encoded windows of the split, silent or not, nearest to the feature's text first."""
    numbers, vectors = material.vectors(split)
    overlap = (material.holding(shown.tokens[:STRONGEST]) * material.rarity).sum(axis=1)[numbers]
    order = np.argsort(-(vectors @ (overlap ** SHARPNESS @ vectors)), kind="stable")
    return numbers[order].tolist()
