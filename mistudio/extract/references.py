"""A random pool of windows with every feature's activation in them, so that a feature is *known* to be silent there."""

import heapq

import numpy as np
import torch

from mistudio.extract.running import random_keys
from mistudio.extract.statistics import Active
from mistudio.store.examples import Reference

# Draws of the pool must not be those of the features' samples, which use the seed itself.
SALT = 0x5EED


class ReferencePool:
    """An unbiased sample of ``size`` contexts, one window of ``window`` tokens from each; the same in any batching."""

    def __init__(self, size: int, window: int, seed: int):
        self.size, self.window, self.seed = size, window, seed
        # (key, minus the context, window): the heap's first item is the first to go.
        self.heap: list[tuple[float, int, Reference]] = []

    def add(self, tokens: np.ndarray, active: Active, context: np.ndarray, document: np.ndarray,
            split: np.ndarray) -> None:
        """Offer a batch: tokens ``[batch, pos]`` with -1 where nothing counts; the rest as in ``Rows``.

        A window shows one document only: that of its first token that counts.
        """
        draws = random_keys(torch.from_numpy(context), 2, self.seed + SALT).tolist()
        wanted = [at for at, (key, _place) in enumerate(draws) if self._wants(key, int(context[at]))]
        if not wanted:
            return
        row, position, feature, value = (part.cpu().numpy() for part in active)
        for at in wanted:
            key, place = draws[at]
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
            self._take((key, -int(context[at]), Reference(
                window, int(split[at]), int(mine), feature[inside][order],
                position[inside][order] - start, np.minimum(value[inside][order], 65504))))

    def absorb(self, other: "ReferencePool") -> None:
        """Take in the pool of other contexts of the same corpus."""
        for item in other.heap:
            if self._wants(item[0], -item[1]):
                self._take(item)

    def _wants(self, key: float, context: int) -> bool:
        return self.size > 0 and (len(self.heap) < self.size or (key, -context) > self.heap[0][:2])

    def _take(self, item: tuple[float, int, Reference]) -> None:
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, item)
        elif item[:2] > self.heap[0][:2]:
            heapq.heapreplace(self.heap, item)

    def windows(self) -> list[Reference]:
        """The pool, in corpus order."""
        return [reference for _key, _context, reference in sorted(self.heap, key=lambda item: -item[1])]

    def state(self) -> dict:
        """Everything it holds, as tensors and numbers."""
        return {"keys": [item[:2] for item in self.heap],
                "blobs": [torch.frombuffer(bytearray(item[2].to_blob()), dtype=torch.uint8) for item in self.heap]}

    def restore(self, state: dict) -> None:
        """Go on from what ``state`` gave."""
        self.heap = [(key, context, Reference.from_blob(blob.numpy().tobytes()))
                     for (key, context), blob in zip(state["keys"], state["blobs"], strict=True)]
