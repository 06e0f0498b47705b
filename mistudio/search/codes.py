"""Near vectors among a million without a million vectors in memory: one bit a dimension, 48 bytes a label.

Each vector, less the mean of all, is kept as the signs of its numbers. A query's signs against these (Hamming
distance) leave a few thousand labels, the query's own numbers against their signs the few whose vectors are worth
reading from the database and comparing exactly. So it is done with sentence vectors widely (binary quantization with
rescoring).
"""

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mistudio.files import replacing

LIKE = 5  # so many times as many as are asked for are compared by the query's numbers
BLOCK = 32_768  # labels compared at a time: what fits in a core's cache


class Codes:
    """Signs of many vectors.

    Args:
        feature_ids, label_ids: ``[n]`` int64 each.
        mean: ``[d]`` float32, what was taken from each vector.
        words: ``[d / 64, n]`` uint64, the signs.
    """

    def __init__(self, feature_ids: np.ndarray, label_ids: np.ndarray, mean: np.ndarray, words: np.ndarray):
        self.feature_ids, self.label_ids, self.mean, self.words = feature_ids, label_ids, mean, words

    def __len__(self) -> int:
        return len(self.label_ids)

    @classmethod
    def build(cls, blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> "Codes":
        """From blocks of feature ids, label ids and vectors ``[b, d]``; the mean is that of the first block."""
        ids, labels, words, mean = [], [], [], None
        for feature_ids, label_ids, vectors in blocks:
            mean = vectors.mean(axis=0, dtype=np.float32) if mean is None else mean
            ids.append(feature_ids)
            labels.append(label_ids)
            words.append(_signs(vectors - mean))
        return cls(np.concatenate(ids), np.concatenate(labels), mean, np.concatenate(words, axis=1))

    def save(self, path: Path, key: str) -> None:
        """Keep them in a file. Raises: OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(file, key=np.array(key), feature_ids=self.feature_ids, label_ids=self.label_ids, mean=self.mean,
                     words=self.words)

    @classmethod
    def load(cls, path: Path, key: str) -> "Codes | None":
        """Those of a file; None where there is none, or it was made of other labels than ``key`` says."""
        try:
            with np.load(path, allow_pickle=False) as found:
                if str(found["key"]) != key:
                    return None
                return cls(*(found[name] for name in ("feature_ids", "label_ids", "mean", "words")))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def nearest(self, query: np.ndarray, count: int, among: np.ndarray | None = None) -> np.ndarray:
        """Places of at most ``count`` labels whose vectors are, by their signs, most like a query ``[d]``; in no order.

        Args:
            among: the only places to look at.
        """
        signs = _signs(query[None])[:, 0]
        words = self.words if among is None else self.words[:, among]
        far = np.empty(words.shape[1], dtype=np.uint16)
        for start in range(0, len(far), BLOCK):
            part = slice(start, start + BLOCK)
            np.bitwise_count(words[:, part] ^ signs[:, None]).sum(axis=0, dtype=np.uint16, out=far[part])
        within = np.bincount(far).cumsum().searchsorted(LIKE * count)
        found = np.flatnonzero(far <= within)
        if len(found) > count:
            positive = np.unpackbits(np.ascontiguousarray(words[:, found].T).view(np.uint8), axis=1)
            found = found[np.argpartition(-(positive.astype(np.float32) @ query), count)[:count]]
        return found if among is None else among[found]


def _signs(vectors: np.ndarray) -> np.ndarray:
    """``[d / 64, n]`` uint64 of vectors ``[n, d]``."""
    return np.ascontiguousarray(np.packbits(vectors > 0, axis=1).view(np.uint64).T)
