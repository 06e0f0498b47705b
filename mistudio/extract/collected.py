"""Everything that one pass keeps. Two of them, of different contexts, can be put together without loss."""

import numpy as np
import torch

from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import SPLITS, Contexts
from mistudio.extract.references import ReferencePool
from mistudio.extract.running import Rows, RunningTop, random_keys
from mistudio.extract.statistics import Active, Statistics


class Collected:
    """Everything a pass keeps: for each split the strongest and the sampled examples, statistics, references.

    It is of ``d_sae`` features, of which the first has the number ``first`` in the SAE; inside they count from 0.
    """

    def __init__(self, config: ExtractConfig, d_sae: int, device: torch.device | str, first: int = 0):
        self.seed, self.first = config.seed, first
        self.top = [RunningTop(d_sae, k, config.window, device) for k in config.top]
        self.sample = [RunningTop(d_sae, k, config.window, device) for k in config.sample]
        self.statistics = Statistics(d_sae, device)
        self.references = ReferencePool(config.references, config.window, config.seed)
        self.contexts = 0

    def add(self, batch: Contexts, acts: torch.Tensor, first: int) -> None:
        """Take in a batch, in corpus order.

        Args:
            acts: ``[batch, pos, d_sae]``, zero on positions that do not count.
            first: number of the batch's first context in the corpus.
        """
        count, length, d_sae = acts.shape
        active = Active.of(acts)
        self.statistics.add(active, int(batch.mask.sum()))
        maximum, peak = active.peaks(count, length, d_sae)
        context = torch.arange(first, first + count, device=acts.device)
        self.contexts += count
        shown = np.where(batch.mask, batch.tokens, -1).astype(np.int32)
        rows = Rows(torch.from_numpy(shown).to(acts.device), acts, peak, context,
                    torch.from_numpy(batch.document.astype(np.int64)).to(acts.device))
        chance = random_keys(context, d_sae, self.seed, self.first).masked_fill_(maximum == -torch.inf, -torch.inf)
        for split in range(len(SPLITS)):
            mine = torch.from_numpy(np.flatnonzero(batch.split == split)).to(acts.device)
            if len(mine):
                part = rows.take(mine)
                self.top[split].merge(maximum[mine], part)
                self.sample[split].merge(chance[mine], part)
        self.references.add(shown, active, context.cpu().numpy(), batch.document, batch.split)

    def absorb(self, other: "Collected") -> None:
        """Take in what was collected from other contexts of the same corpus; equal to one pass over both."""
        self.contexts += other.contexts
        for mine, others in zip(self._parts(), other._parts(), strict=True):
            mine.absorb(others)

    def state(self) -> dict:
        """Everything it holds, as tensors, numbers and lists."""
        return {"contexts": self.contexts, "parts": [part.state() for part in self._parts()]}

    def restore(self, state: dict) -> None:
        """Go on from what ``state`` gave; its makers had the same config."""
        self.contexts = state["contexts"]
        for part, kept in zip(self._parts(), state["parts"], strict=True):
            part.restore(kept)

    def _parts(self) -> list:
        return [*self.top, *self.sample, self.statistics, self.references]
