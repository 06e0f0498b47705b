"""A random pool of windows with every feature's activation in them, so that a feature is *known* to be silent there."""

import heapq

import numpy as np

from mistudio.extract.statistics import Active
from mistudio.store.examples import Reference


class ReferencePool:
    """An unbiased sample of ``size`` contexts, one window of ``window`` tokens from each."""

    def __init__(self, size: int, window: int, seed: int):
        self.size, self.window = size, window
        self.random = np.random.default_rng(seed)
        self.heap: list[tuple[float, int, Reference]] = []

    def add(self, tokens: np.ndarray, active: Active, context: np.ndarray, document: np.ndarray,
            split: np.ndarray) -> None:
        """Offer a batch: tokens ``[batch, pos]`` with -1 where nothing counts; the rest as in ``Rows``.

        A window shows one document only: that of its first token that counts.
        """
        draws = self.random.random((len(tokens), 2))
        row, position, feature, value = (part.cpu().numpy() for part in active)
        for at, (key, place) in enumerate(draws):
            if not self.size or (len(self.heap) == self.size and key <= self.heap[0][0]):
                continue
            counted = np.flatnonzero(tokens[at] >= 0)
            first, last = counted[0], counted[-1]
            start = int(first + place * max(last - first + 2 - self.window, 1))
            mine = document[at, counted[np.searchsorted(counted, start)]]
            inside = ((row == at) & (position >= start) & (position < start + self.window)
                      & (document[at, position] == mine))
            order = np.lexsort((position[inside], feature[inside]))
            window = np.full(self.window, -1, dtype=np.int32)
            shown = tokens[at, start:start + self.window]
            window[:len(shown)] = np.where(document[at, start:start + self.window] == mine, shown, -1)
            item = (key, int(context[at]), Reference(
                window, int(split[at]), int(mine), feature[inside][order],
                position[inside][order] - start, np.minimum(value[inside][order], 65504)))
            if len(self.heap) < self.size:
                heapq.heappush(self.heap, item)
            else:
                heapq.heapreplace(self.heap, item)

    def windows(self) -> list[Reference]:
        """The pool, in corpus order."""
        return [reference for _key, _context, reference in sorted(self.heap, key=lambda item: item[1])]
