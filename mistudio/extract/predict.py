"""What an extraction will take in memory, disk and time, from a few batches run for real. Nothing is stored."""

import time
from dataclasses import dataclass
from itertools import islice

import psutil
import torch

from mistudio.access import require_write
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.passes import Progress, collect_batch, load_both, read_contexts
from mistudio.extract.ranges import FeatureRange, features_at_once, kept_bytes, working_bytes

BATCHES = 4
# Of the examples' bytes, what their compressed blobs take in the database (measured on the demo: 31.6 of 83 MB).
COMPRESSED = 0.4


@dataclass(frozen=True)
class Prediction:
    """Bytes and seconds.

    ``memory`` is the most the process will hold: what it held after a few batches (everything is taken at the start,
    and nothing grows with the corpus) and what a batch needs while it is worked on. Of it ``kept`` are the windows of
    the features that one pass collects, ``d_pass * places * (6 * window + 36)`` with the sum of all top and sample
    places. ``disk`` is the database's growth, ``checkpoint`` the file kept while it runs. ``passes`` over the corpus
    are made, more than one where the windows of all features do not fit into memory.
    """

    memory: int
    kept: int
    disk: int
    checkpoint: int
    passes: int
    seconds: float
    tokens_per_second: float

    def sentence(self) -> str:
        """For people, in page and shell."""
        passes = "one pass" if self.passes == 1 else f"{self.passes} passes"
        return (f"About {self.seconds / 60:,.1f} minutes at {self.tokens_per_second:,.0f} tokens/s in {passes}, "
                f"{self.memory / 1e9:,.1f} GB of memory, {self.disk / 1e6:,.0f} MB in the database and, while it runs, "
                f"{self.checkpoint / 1e6:,.0f} MB for the checkpoint. Nothing was stored.")


def predict(config: ExtractConfig, say: Progress) -> Prediction:
    """Load model and SAE, run a few batches, and work out the rest.

    Raises:
        MistudioError: what the extraction itself would raise at its start.
    """
    require_write()
    say("Loading model and SAE", 0.0, "")
    loaded, sae, config = load_both(config)
    features = FeatureRange(sae, 0, features_at_once(config, sae, loaded.device))
    collected = Collected(config, len(features), loaded.device)
    first, started = 0, 0.0
    with torch.inference_mode():
        for number, batch in enumerate(islice(read_contexts(config, loaded), BATCHES)):
            # The first batch fills every place and warms up; it is no measure of the others.
            if number == 1 or not started:
                started, tokens = time.monotonic(), collected.statistics.tokens
            collect_batch(config, loaded, features, collected, batch, first)
            first += len(batch.tokens)
            say("Trying some batches", (number + 1) / BATCHES, "")
    passes = -(-sae.d_sae // len(features))
    rate = (collected.statistics.tokens - tokens) / (time.monotonic() - started) / passes
    kept = kept_bytes(config, len(features))
    return Prediction(
        memory=psutil.Process().memory_info().rss + working_bytes(config, len(features)), kept=kept,
        disk=int(COMPRESSED * kept_bytes(config, sae.d_sae)), checkpoint=kept, passes=passes,
        seconds=config.tokens / rate, tokens_per_second=rate)
