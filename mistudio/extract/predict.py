"""What an extraction will take in memory, disk and time, from a few batches run for real. Nothing is stored."""

import time
from dataclasses import dataclass
from itertools import islice

import psutil
import torch

from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.passes import Progress, collect_batch, load_both, read_contexts

BATCHES = 4
# Of the examples' bytes, what their compressed blobs take in the database (measured on the demo: 31.6 of 83 MB).
COMPRESSED = 0.4


@dataclass(frozen=True)
class Prediction:
    """Bytes and seconds.

    ``memory`` is the most the process will hold: what it holds after a few batches, and once more the kept windows,
    which are put in order at the end. It does not grow with the corpus. ``kept`` is
    ``d_sae * places * (6 * window + 36)`` with the sum of all top and sample places. ``disk`` is the database's growth,
    ``checkpoint`` the file kept while it runs.
    """

    memory: int
    kept: int
    disk: int
    checkpoint: int
    seconds: float
    tokens_per_second: float


def kept_bytes(config: ExtractConfig, d_sae: int) -> int:
    """Bytes of the windows kept for all features: tokens int32, activations float16, and 36 bytes about each."""
    places = sum(config.top) + sum(config.sample)
    return d_sae * places * (6 * config.window + 36)


def predict(config: ExtractConfig, say: Progress) -> Prediction:
    """Load model and SAE, run a few batches, and work out the rest.

    Raises:
        MistudioError: what the extraction itself would raise at its start.
    """
    say("Loading model and SAE", 0.0, "")
    loaded, sae, config = load_both(config)
    collected = Collected(config, sae.d_sae, loaded.device)
    first, started = 0, 0.0
    with torch.inference_mode():
        for number, batch in enumerate(islice(read_contexts(config, loaded), BATCHES)):
            # The first batch fills every place and warms up; it is no measure of the others.
            if number == 1 or not started:
                started, tokens = time.monotonic(), collected.statistics.tokens
            collect_batch(config, loaded, sae, collected, batch, first)
            first += len(batch.tokens)
            say("Trying some batches", (number + 1) / BATCHES, "")
    rate = (collected.statistics.tokens - tokens) / (time.monotonic() - started)
    kept = kept_bytes(config, sae.d_sae)
    return Prediction(
        memory=psutil.Process().memory_info().rss + kept, kept=kept, disk=int(COMPRESSED * kept), checkpoint=kept,
        seconds=config.tokens / rate, tokens_per_second=rate)
