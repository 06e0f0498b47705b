"""Windows known to be silent."""

import numpy as np

from mistudio.label.material import Material
from mistudio.store.examples import SPLITS


def silent_windows(material: Material, index: int, peaks: np.ndarray, count: int, random: np.random.Generator,
                   split: str) -> list[int]:
    """Numbers of reference windows of a split in which the feature is silent, half with one of its tokens."""
    place = SPLITS.index(split)
    silent = np.array([number for number, window in enumerate(material.references)
                       if window.split == place and not window.active(index)], dtype=np.int64)
    if not count or not len(silent):
        return []
    silent = random.permutation(silent)
    hard = np.isin(material.tokens[silent], peaks).any(axis=1)
    return [int(number) for number in np.concatenate([silent[hard], silent[~hard]])[:count]]
