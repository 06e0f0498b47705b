"""What the demo SAE's model card states: FVU, L0, dead share, densities, and how nameable its features are."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from mistudio.demo.activations import Cache
from mistudio.demo.fetch import demo_model
from mistudio.extract.describe import SAME_AFTER, SAME_BEFORE
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE

TOP = 10
SIZES = (250_000, 1_000_000)  # the demo's own extraction, and a larger one


def measure(folder: Path, data: Cache, held_out: Tensor) -> dict:
    """Measure a saved SAE: FVU and L0 on held-out tokens, the rest on the first tokens of the corpus."""
    sae = load_sae(str(folder))
    peaks = _context_peaks(sae, data, SIZES[-1])
    words = _words()[data.ids]
    return {
        **reconstruction(sae, data.acts, held_out), **densities(sae, data, peaks),
        "consistency": {str(size): {"by token": consistency(peaks, data.ids, data.ids, size),
                                    "by word": consistency(peaks, data.ids, words, size)} for size in SIZES}}


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


def densities(sae: SAE, data: Cache, peaks: tuple[np.ndarray, ...]) -> dict:
    """Share of dead features, and how many features are active in which share of the contexts."""
    used = np.bincount(peaks[0], minlength=sae.d_sae)
    density = used / len(np.unique(data.context[:SIZES[-1]]))
    return {"measured_tokens": min(SIZES[-1], len(data.ids)), "dead_share": round(float((used == 0).mean()), 4),
            "context_density_histogram": {
                f"1e{low} to 1e{low + 1}": int(((density >= 10.0**low) & (density < 10.0 ** (low + 1))).sum())
                for low in range(-5, 0)}}


def consistency(peaks: tuple[np.ndarray, ...], ids: np.ndarray, names: np.ndarray, tokens: int) -> dict:
    """How often a feature's weaker activations sit on the tokens of its strongest ones, in the first ``tokens``.

    For features whose ten strongest distinct contexts share one active token at least five times: the share of their
    other active contexts, by strength (under 3, 3 to 6, over 6 tenths of the maximum), whose active token is among
    those ten tokens. Tokens are the same where their ``names`` are.
    """
    feature, value, row = _distinct(ids, *(part[peaks[2] < tokens] for part in peaks))
    name = names[row]
    hits, counts, judged = np.zeros(3), np.zeros(3), 0
    for start, end in pairwise(np.searchsorted(feature, np.arange(feature.max() + 2))):
        first = name[start:start + TOP]
        if end - start <= TOP or np.unique(first, return_counts=True)[1].max() < 5:
            continue
        judged += 1
        same = np.isin(name[start + TOP:end], first)
        band = np.digitize(value[start + TOP:end] / value[start], [0.3, 0.6])
        hits += np.bincount(band, same, minlength=3)
        counts += np.bincount(band, minlength=3)
    return {"shares": [round(float(share), 3) for share in hits / np.maximum(counts, 1)],
            "contexts_by_strength": [round(float(share), 3) for share in counts / counts.sum()],
            "features_judged": judged}


def _words() -> np.ndarray:
    """For each token id a number that tokens share when they differ only in case and in spaces around them."""
    tokenizer = AutoTokenizer.from_pretrained(demo_model())
    numbers: dict[str, int] = {}
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return np.array([numbers.setdefault(text.strip().lower() or text, len(numbers)) for text in texts])


@torch.inference_mode()
def _context_peaks(sae: SAE, data: Cache, tokens: int) -> tuple[np.ndarray, ...]:
    """For every feature active in a context, its peak: feature, value and row of ``data``, as flat arrays."""
    found: list[tuple[np.ndarray, ...]] = []
    edges = np.flatnonzero(np.diff(data.context[:tokens], prepend=-1))
    for block in range(0, len(edges), 64):
        start = edges[block]
        end = edges[block + 64] if block + 64 < len(edges) else min(tokens, len(data.ids))
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
