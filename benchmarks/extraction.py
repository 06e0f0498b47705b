"""Tokens a second of the whole extraction beside the bare forward to the same hook point, on the same tokens.

    python -m benchmarks.extraction                      # demo model, SAE and corpus
    python -m benchmarks.extraction --tokens 100000 --rounds 5

Both take turns, round by round, so that a machine that slows down slows both. Reading the corpus, tokenizing and
storing are left out of both. One round is run first and not counted.
"""

import resource
import time
from itertools import islice
from typing import Annotated

import torch
import typer

from mistudio.demo.fetch import demo_model
from mistudio.demo.setup import SAE_FOLDER
from mistudio.errors import MistudioError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import Contexts
from mistudio.extract.passes import collect_batch, load_both, read_contexts
from mistudio.extract.ranges import FeatureRange
from mistudio.model.hook import activations_at
from mistudio.model.load import LoadedModel


def forward(loaded: LoadedModel, hook_point: str, batches: list[Contexts]) -> None:
    """The model alone, up to the hook point."""
    for batch in batches:
        activations_at(loaded, hook_point, torch.from_numpy(batch.tokens), torch.from_numpy(batch.attend))
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def main(
    tokens: Annotated[int, typer.Option(help="Tokens a round.")] = 40_000,
    rounds: Annotated[int, typer.Option(help="Rounds that count.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
):
    loaded, sae, config = load_both(ExtractConfig(
        model=str(demo_model(print)), sae=str(SAE_FOLDER), device=device, tokens=tokens * (rounds + 1)))
    hook_point, length = config.hook_point, config.context_length
    stream = read_contexts(config, loaded)
    features = FeatureRange(sae, 0, sae.d_sae)
    collected = Collected(config, sae.d_sae, loaded.device)
    spent, counted = {"bare forward": 0.0, "extraction": 0.0}, 0
    for turn in range(rounds + 1):
        batches = list(islice(stream, -(-tokens // (config.batch_size * length))))
        started = time.monotonic()
        forward(loaded, hook_point, batches)
        between = time.monotonic()
        for batch in batches:
            collect_batch(config, loaded, features, collected, batch, collected.contexts)
        if loaded.device.type == "cuda":
            torch.cuda.synchronize()
        if turn:
            spent["bare forward"] += between - started
            spent["extraction"] += time.monotonic() - between
            counted += sum(int(batch.mask.sum()) for batch in batches)
    place = torch.cuda.get_device_name() if loaded.device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    print(f"{place}; {config.dtype}; d_sae {sae.d_sae:,}; {counted:,} tokens in {rounds} rounds")
    for name, seconds in spent.items():
        print(f"{name:14} {counted / seconds:10,.0f} tokens/s")
    print(f"ratio          {spent['bare forward'] / spent['extraction']:10.2f}")
    print(f"peak memory    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:10,.0f} MB")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MistudioError as error:
        raise SystemExit(str(error)) from error
