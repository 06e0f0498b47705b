"""What the demo SAE's model card states: FVU, L0, dead share, densities, and how nameable its features are."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mistudio.demo.activations import Cache
from mistudio.extract.finish import SAME_AFTER, SAME_BEFORE
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE

TOP = 10


def measure(folder: Path, data: Cache, held_out: Tensor, tokens: int = 1_000_000) -> dict:
    """Measure a saved SAE.

    FVU and L0 on held-out tokens; dead share, densities and consistency on the first ``tokens`` tokens.
    """
    sae = load_sae(str(folder))
    return {**reconstruction(sae, data.acts, held_out), **consistency(sae, data, tokens)}


@torch.inference_mode()
def reconstruction(sae: SAE, acts: Tensor, rows: Tensor) -> dict:
    """FVU (residual sum of squares over the sum of squares around the mean) and L0 on ``acts[rows]``."""
    mean = acts[rows].float().mean(0)
    error = total = active = 0.0
    for chunk in rows.split(4096):
        x = acts[chunk].float()
        features = sae.encode(x)
        error += (sae.decode(features) - x).square().sum().item()
        total += (x - mean).square().sum().item()
        active += (features > 0).sum().item()
    return {"held_out_tokens": len(rows), "fvu": round(error / total, 4), "l0": round(active / len(rows), 2)}


@torch.inference_mode()
def consistency(sae: SAE, data: Cache, tokens: int) -> dict:
    """How often a feature's weaker activations sit on the tokens of its strongest ones.

    For features whose ten strongest distinct contexts share one active token at least five times: the share of their
    other active contexts, by strength (under 3, 3 to 6, over 6 tenths of the maximum), whose active token is among
    those ten tokens.
    """
    tokens = min(tokens, len(data.ids))
    feature, value, row = _context_peaks(sae, data, tokens)
    used = np.bincount(feature, minlength=sae.d_sae)
    feature, value, row = _distinct(data.ids[:tokens], feature, value, row)
    token = data.ids[row]
    starts = np.searchsorted(feature, np.arange(sae.d_sae + 1))
    hits, counts, judged = np.zeros(3), np.zeros(3), 0
    shares: list[list[float]] = [[], [], []]
    for start, end in pairwise(starts):
        first = token[start:start + TOP]
        if end - start <= TOP or np.unique(first, return_counts=True)[1].max() < 5:
            continue
        judged += 1
        strength = value[start + TOP:end] / value[start]
        same = np.isin(token[start + TOP:end], first)
        group = np.digitize(strength, [0.3, 0.6])
        for band in range(3):
            inside = group == band
            hits[band] += same[inside].sum()
            counts[band] += inside.sum()
            if inside.any():
                shares[band].append(float(same[inside].mean()))
    density = used / len(np.unique(data.context[:tokens]))
    return {
        "measured_tokens": tokens, "dead_share": round(float((used == 0).mean()), 4),
        "consistency": [round(float(x), 3) for x in hits / np.maximum(counts, 1)],
        "consistency_mean_of_features": [round(float(np.mean(x)), 3) if x else None for x in shares],
        "contexts_by_strength": [round(float(x), 3) for x in counts / counts.sum()],
        "features_judged": judged,
        "context_density_histogram": {
            f"1e{low} to 1e{low + 1}": int(((density >= 10.0**low) & (density < 10.0 ** (low + 1))).sum())
            for low in range(-5, 0)},
    }


def _context_peaks(sae: SAE, data: Cache, tokens: int) -> tuple[np.ndarray, ...]:
    """For every feature active in a context, its peak: feature, value and row of ``data``, as flat arrays."""
    found: list[tuple[np.ndarray, ...]] = []
    edges = np.flatnonzero(np.diff(data.context[:tokens], prepend=-1))
    for block in range(0, len(edges), 64):
        start = edges[block]
        end = edges[block + 64] if block + 64 < len(edges) else tokens
        acts = sae.encode(data.acts[start:end].float()).numpy()
        row, feature = acts.nonzero()
        value = acts[row, feature]
        context = data.context[start:end][row]
        order = np.lexsort((-value, context, feature))
        feature, context, value, row = feature[order], context[order], value[order], row[order]
        first = np.ones(len(feature), dtype=bool)
        first[1:] = (feature[1:] != feature[:-1]) | (context[1:] != context[:-1])
        found.append((feature[first], value[first], start + row[first]))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _distinct(ids: np.ndarray, feature: np.ndarray, value: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, ...]:
    """The peaks ordered by feature, strongest first; of those in near-identical windows, only the strongest.

    Windows are alike as in an extraction: by the tokens around the peak.
    """
    padded = np.pad(ids.astype(np.uint64), (SAME_BEFORE, SAME_AFTER))
    near = np.zeros(len(ids), dtype=np.uint64)
    for offset in range(SAME_BEFORE + SAME_AFTER):
        near = near * np.uint64(0x9E3779B97F4A7C15) + padded[offset:offset + len(ids)] + np.uint64(1)
    order = np.lexsort((-value, near[row], feature))
    feature, value, row = feature[order], value[order], row[order]
    new = np.ones(len(row), dtype=bool)
    new[1:] = (feature[1:] != feature[:-1]) | (near[row[1:]] != near[row[:-1]])
    feature, value, row = feature[new], value[new], row[new]
    order = np.lexsort((-value, feature))
    return feature[order], value[order], row[order]
