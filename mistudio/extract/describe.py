"""What is said of a feature from its windows: its state, its top tokens, and which windows are the same."""

import numpy as np

from mistudio.store.examples import Examples

RARE_BELOW = 10  # active tokens
DENSE_ABOVE = 0.1
SAME_BEFORE, SAME_AFTER = 8, 3  # windows alike on these tokens around the peak count as one


def feature_state(active_tokens: int, density: float) -> str:
    """live, rare (too few activations to judge), dense (active on over a tenth of the tokens) or dead."""
    if not active_tokens:
        return "dead"
    if active_tokens < RARE_BELOW:
        return "rare"
    return "dense" if density > DENSE_ABOVE else "live"


def distinct(tokens: np.ndarray, peak: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """``[n, k]`` bool: places that are filled, with tokens around the peak that no place before has.

    Args:
        tokens: ``[n, k, window]`` int32; peak ``[n, k]`` and filled ``[n, k]`` bool go with it.
    """
    count, k, width = tokens.shape
    if not k:
        return filled
    at = peak[:, :, None] + np.arange(-SAME_BEFORE, SAME_AFTER)
    near = np.take_along_axis(tokens, at.clip(0, width - 1), axis=2)
    near = np.where((at >= 0) & (at < width), near, -2).astype(np.uint64)
    # One number for what stands there: a sum with random weights, modulo 2**64.
    weights = np.random.default_rng(0).integers(2**64, size=near.shape[2], dtype=np.uint64) | np.uint64(1)
    code = (near * weights).sum(axis=2, dtype=np.uint64)
    order = code.argsort(axis=1, kind="stable")
    code = np.take_along_axis(code, order, axis=1)
    first = np.concatenate([np.ones((count, 1), dtype=bool), code[:, 1:] != code[:, :-1]], axis=1)
    fresh = np.empty_like(first)
    np.put_along_axis(fresh, order, first, axis=1)
    return fresh & filled


def top_tokens(found: Examples, vocabulary: list[str], most: int = 12) -> list[list]:
    """``[[token, count, mean activation], ...]`` of the peaks of the explain split, by summed activation."""
    shown = found.only(split="explain")
    tokens, place, counts = np.unique(shown.tokens[np.arange(len(shown)), shown.peak], return_inverse=True,
                                      return_counts=True)
    totals = np.bincount(place, weights=shown.strength(), minlength=len(tokens))
    return [[vocabulary[tokens[at]], int(counts[at]), round(float(totals[at] / counts[at]), 3)]
            for at in (-totals).argsort(kind="stable")[:most] if tokens[at] >= 0]
