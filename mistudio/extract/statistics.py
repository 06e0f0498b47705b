"""What is counted in the pass, from the nonzero activations of a batch."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BINS = 44
LOWEST = -11  # the first bin ends at 2**LOWEST; bins are half octaves, so the last starts at about 2**10.5


class Active(NamedTuple):
    """The nonzero activations of a batch, ``[m]`` each: row, position, feature, value."""

    row: Tensor
    position: Tensor
    feature: Tensor
    value: Tensor

    @staticmethod
    def of(acts: Tensor) -> "Active":
        _rows, length, d_sae = acts.shape
        flat = acts.reshape(-1)
        # One index each: three of them, interleaved, slow down all that reads them.
        at = flat.nonzero().flatten()
        token = at.div(d_sae, rounding_mode="floor")
        row = token.div(length, rounding_mode="floor")
        return Active(row, token - row * length, at - token * d_sae, flat[at])

    def peaks(self, rows: int, length: int, d_sae: int) -> tuple[Tensor, Tensor]:
        """``[rows, d_sae]`` maximum of each feature in each context (minus infinity where silent), and the first
        position that reaches it."""
        cell = self.row * d_sae + self.feature
        best = torch.full((rows * d_sae,), -torch.inf, device=cell.device)
        best.scatter_reduce_(0, cell, self.value, "amax")
        at_best = torch.where(self.value == best[cell], self.position, length)
        first = torch.full((rows * d_sae,), length - 1, dtype=torch.int64, device=cell.device)
        first.scatter_reduce_(0, cell, at_best, "amin")
        return best.view(rows, d_sae), first.view(rows, d_sae)


class Statistics:
    """Per feature: active tokens, sum and maximum of activations, and a histogram in half octaves."""

    def __init__(self, d_sae: int, device: torch.device | str = "cpu"):
        self.tokens = 0
        self.active = torch.zeros(d_sae, dtype=torch.int64, device=device)
        self.total = torch.zeros(d_sae, dtype=torch.float64, device=device)
        self.maximum = torch.zeros(d_sae, device=device)
        self.histogram = torch.zeros(d_sae * BINS, dtype=torch.int64, device=device)

    def add(self, active: Active, tokens: int) -> None:
        """Count a batch of ``tokens`` counted tokens."""
        self.tokens += tokens
        one = torch.ones_like(active.feature)
        self.active.scatter_add_(0, active.feature, one)
        self.total.scatter_add_(0, active.feature, active.value.double())
        self.maximum.scatter_reduce_(0, active.feature, active.value, "amax")
        bin_ = (2 * torch.log2(active.value.double()) - 2 * LOWEST).floor().long().add_(1).clamp_(0, BINS - 1)
        self.histogram.scatter_add_(0, active.feature * BINS + bin_, one)

    def absorb(self, other: "Statistics") -> None:
        """Add what was counted on other contexts."""
        self.tokens += other.tokens
        self.active += other.active
        self.total += other.total
        self.histogram += other.histogram
        self.maximum = torch.maximum(self.maximum, other.maximum)

    def state(self) -> dict:
        """Everything it holds."""
        return dict(vars(self))

    def restore(self, state: dict) -> None:
        """Go on from what ``state`` gave."""
        self.tokens = state["tokens"]
        for name in ("active", "total", "maximum", "histogram"):
            setattr(self, name, state[name].to(self.active.device))

    def histograms(self, features: slice = slice(None)) -> list[list[list[float]]]:
        """For each of these features ``[[lower, upper, count], ...]``, from its first to its last filled bin."""
        edges = [0.0, *(2.0 ** (LOWEST + i / 2) for i in range(BINS - 1)), float("inf")]
        result = []
        for counts in self.histogram.view(-1, BINS)[features].cpu().numpy():
            filled = np.flatnonzero(counts)
            span = range(filled[0], filled[-1] + 1) if len(filled) else ()
            result.append([[edges[i], min(edges[i + 1], 2 * edges[i] or edges[1]), int(counts[i])] for i in span])
        return result
