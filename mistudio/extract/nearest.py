"""Which decoder directions of an SAE point nearly the same way."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mistudio.store.nearest import KEPT

# So many features are compared with so many at a time: 128 MiB of cosines, whatever the SAE's size.
BLOCK = (2_048, 16_384)


@torch.inference_mode()
def nearest_decoders(W_dec: Tensor, say: Callable[[float], None] = lambda _share: None,
                     k: int = KEPT, block: tuple[int, int] = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """For each feature the ``k`` others (fewer where there are fewer) with the largest cosine of decoder directions.

    Args:
        W_dec: ``[d_sae, d_in]``.
        say: called with the share done, 0 to 1.
        block: how many features are compared with how many at a time.

    Returns:
        index ``[d_sae, k]`` int64 and cosine ``[d_sae, k]`` float32, largest first. A direction of length 0 has
        cosine 0 with all others.
    """
    k = min(k, len(W_dec) - 1)
    index, cosine = (np.zeros((len(W_dec), k), dtype=dtype) for dtype in (np.int64, np.float32))
    for start in range(0, len(W_dec), block[0]):
        say(start / len(W_dec))
        rows = slice(start, start + block[0])
        values, found = _nearest(W_dec, rows, k, block[1])
        index[rows], cosine[rows] = found.cpu().numpy(), values.cpu().numpy()
    return index, cosine


def _nearest(W_dec: Tensor, rows: slice, k: int, columns: int) -> tuple[Tensor, Tensor]:
    """Cosines and indices ``[rows, k]`` of those nearest to some features."""
    mine = _unit(W_dec[rows])
    values = torch.zeros((len(mine), 0), device=W_dec.device)
    found = torch.zeros((len(mine), 0), dtype=torch.int64, device=W_dec.device)
    for first in range(0, len(W_dec), columns):
        others = _unit(W_dec[first:first + columns])
        cosines = mine @ others.T
        cosines.diagonal(rows.start - first).fill_(-torch.inf)  # no feature is its own neighbour
        best = cosines.topk(min(k, len(others)), dim=1)
        values, found = torch.cat([values, best.values], 1), torch.cat([found, best.indices + first], 1)
        values, order = values.topk(min(k, values.shape[1]), dim=1)
        found = found.gather(1, order)
    return values, found


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows.float(), dim=1)
