"""A running top-k for every feature, with the windows of its winners.

With the activation as key it keeps the strongest examples; with a random number as key it is a reservoir that keeps an
unbiased sample (Efraimidis and Spirakis 2006, with equal weights). Memory is ``d_sae x k x window``, whatever the
number of tokens, and a merge costs work only for features that have a new winner.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """A batch of contexts as the merges need it: tokens ``[batch, pos]`` int32 (-1 where nothing is shown), acts
    ``[batch, pos, d_sae]``, peak ``[batch, d_sae]`` position of each feature's maximum, context ``[batch]`` and
    document ``[batch, pos]`` int64. A window shows the document of its peak only. ``place`` ``[batch]`` says which row
    of acts each context has, so that taking some contexts copies no activations; None: row after row.
    """

    tokens: Tensor
    acts: Tensor
    peak: Tensor
    context: Tensor
    document: Tensor
    place: Tensor | None = None

    def take(self, rows: Tensor) -> "Rows":
        return Rows(self.tokens[rows], self.acts, self.peak[rows], self.context[rows], self.document[rows],
                    rows if self.place is None else self.place[rows])


class RunningTop:
    """The ``k`` contexts with the largest keys for each of ``d_sae`` features; equal keys go to the earlier context.

    ``keys``, ``slot`` ``[d_sae, k]`` are sorted by key, largest first, with minus infinity for places still empty;
    ``slot`` says where in ``tokens``, ``acts`` ``[d_sae, k, window]``, ``peak``, ``context`` and ``document``
    ``[d_sae, k]`` the entry's window lies.
    """

    def __init__(self, d_sae: int, k: int, window: int, device: torch.device | str = "cpu"):
        self.k, self.window = k, window
        self.keys = torch.full((d_sae, k), -torch.inf, device=device)
        self.slot = torch.arange(k, device=device).repeat(d_sae, 1)
        self.tokens = torch.full((d_sae, k, window), -1, dtype=torch.int32, device=device)
        # full, not zeros: its memory is then taken at once, and not bit by bit as features find their examples.
        self.acts = torch.full((d_sae, k, window), 0.0, dtype=torch.float16, device=device)
        self.peak = torch.zeros((d_sae, k), dtype=torch.int64, device=device)
        self.context = torch.full((d_sae, k), -1, dtype=torch.int64, device=device)
        self.document = torch.zeros((d_sae, k), dtype=torch.int64, device=device)

    def merge(self, keys: Tensor, rows: Rows) -> None:
        """Take in a batch of contexts, in corpus order.

        Args:
            keys: ``[batch, d_sae]``; minus infinity where a context is no candidate.
        """
        if not self.k or not len(keys):
            return
        feature = (keys > self.keys[:, -1]).any(0).nonzero().flatten()
        if not len(feature):
            return
        both = torch.cat([self.keys[feature], keys[:, feature].T], dim=1)
        ordered, order = both.sort(dim=1, descending=True, stable=True)
        ordered, order = ordered[:, :self.k], order[:, :self.k]
        new = order >= self.k
        kept = torch.zeros_like(both, dtype=torch.bool).scatter_(1, order, True)[:, :self.k]
        # Each feature frees exactly as many places as it has new winners, so the two lists below pair up.
        before = self.slot[feature]
        slot = before.gather(1, order.clamp(max=self.k - 1))
        slot[new] = before[~kept]
        self.keys[feature], self.slot[feature] = ordered, slot
        self._store(feature[new.nonzero()[:, 0]], slot[new], order[new] - self.k, rows)

    def _store(self, feature: Tensor, slot: Tensor, row: Tensor, rows: Rows) -> None:
        length = rows.tokens.shape[1]
        width = min(self.window, length)
        peak = rows.peak[row, feature]
        start = (peak - self.window // 2).clamp(0, length - width)
        document = rows.document[row, peak]
        place = row if rows.place is None else rows.place[row]
        # A view of all windows: one index a window instead of one a token.
        outside = rows.document.unfold(1, width, 1)[row, start] != document[:, None]
        tokens = rows.tokens.unfold(1, width, 1)[row, start].masked_fill_(outside, -1)
        acts = rows.acts.unfold(1, width, 1)[place, start, feature].masked_fill_(outside, 0)
        # Where contexts are shorter than a window, its end keeps what it was made with.
        self.tokens[feature, slot, :width] = tokens
        self.acts[feature, slot, :width] = acts.clamp_(max=65504).half()
        self.peak[feature, slot] = peak - start
        self.context[feature, slot] = rows.context[row]
        self.document[feature, slot] = document

    def absorb(self, other: "RunningTop") -> None:
        """Take in the entries of other contexts of the same corpus; the result is that of one pass over both."""
        keys = torch.cat([self.keys, other.keys], dim=1)
        context = torch.cat([self.context.gather(1, self.slot), other.context.gather(1, other.slot)], dim=1)
        # By key, and for equal keys by context: two stable sorts, the less important one first.
        by_context = context.sort(dim=1, stable=True).indices
        by_key = keys.gather(1, by_context).sort(dim=1, descending=True, stable=True).indices
        order = by_context.gather(1, by_key)[:, :self.k]
        slots = torch.cat([self.slot, other.slot + self.k], dim=1).gather(1, order)
        for name in ("tokens", "acts", "peak", "context", "document"):
            both = torch.cat([getattr(self, name), getattr(other, name)], dim=1)
            index = slots[:, :, None].expand(-1, -1, self.window) if both.dim() == 3 else slots
            setattr(self, name, both.gather(1, index))
        self.keys = keys.gather(1, order)
        self.slot = torch.arange(self.k, device=keys.device).repeat(len(keys), 1)

    def state(self) -> dict[str, Tensor]:
        """Everything it holds."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what ``state`` gave."""
        for name, value in state.items():
            setattr(self, name, value.to(self.keys.device))

    def ordered(self, features: slice = slice(None)) -> dict[str, Tensor]:
        """Everything of these features in order of key: tokens, acts, peak, context, document, and ``filled``
        ``[n, k]`` bool."""
        slot = self.slot[features]
        wide = slot[:, :, None].expand(-1, -1, self.window)
        found = {name: getattr(self, name)[features].gather(1, wide) for name in ("tokens", "acts")}
        found |= {name: getattr(self, name)[features].gather(1, slot) for name in ("peak", "context", "document")}
        return found | {"filled": self.keys[features] > -torch.inf}


def random_keys(context: Tensor, d_sae: int, seed: int, first: int = 0) -> Tensor:
    """``[batch, d_sae]`` float32 in [0, 1): a hash of (context, feature, seed), so any batching draws the same sample.

    Features count from ``first``. The mixing steps are those of splitmix64 (Steele, Lea and Flood 2014), in wrapping
    int64 arithmetic.
    """
    feature = torch.arange(first, first + d_sae, device=context.device)
    offset = (seed * 0x2545F4914F6CDD1D + 2**63) % 2**64 - 2**63
    mixed = context[:, None] * 0x5851F42D4C957F2D + feature * 0x14057B7EF767814F + offset
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    mixed = (mixed ^ (mixed >> 31)) & 0x7FFFFFFF
    return (mixed >> 7).float() / (1 << 24)
