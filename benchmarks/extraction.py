"""Tokens a second of the whole extraction beside the bare forward to the same hook point, on the same tokens.

    python -m benchmarks.extraction                      # demo model, SAE and corpus
    python -m benchmarks.extraction --tokens 100000 --rounds 5
    python -m benchmarks.extraction --d-sae 131072 --batch-size 64    # GPT-2's size and a TopK SAE, random weights

Both take turns, round by round, so that a machine that slows down slows both. Reading the corpus, tokenizing and
storing are left out of both. One round is run first and not counted.
"""

import resource
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from mistudio.demo.fetch import demo_model
from mistudio.demo.setup import SAE_FOLDER
from mistudio.errors import MistudioError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import Contexts
from mistudio.extract.passes import collect_batch, load_both, read_contexts
from mistudio.extract.ranges import FeatureRange
from mistudio.model.families import blocks
from mistudio.model.hook import activations_at
from mistudio.model.hook_point import parse_hook_point
from mistudio.model.load import LoadedModel
from mistudio.sae.sae import SAE
from tests.tiny import tiny_sae


def random_pair(folder: Path, d_sae: int) -> tuple[Path, Path]:
    """A model of GPT-2's size with the demo's tokenizer, and a TopK SAE (k 32) after two thirds of its blocks."""
    tokenizer = AutoTokenizer.from_pretrained(demo_model(print))
    tokenizer.save_pretrained(folder / "model")
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer))).save_pretrained(folder / "model")
    told = {"hook_name": "blocks.7.hook_resid_post", "context_size": 128, "prepend_bos": True}
    return folder / "model", tiny_sae(folder / "sae", d_in=768, d_sae=d_sae, k=32, metadata=told)


def flops_a_token(loaded: LoadedModel, sae: SAE, hook_point: str) -> int:
    """Two for each weight of the blocks that are run and of the encoder; attention's products are left out."""
    run = blocks(loaded.model)[:parse_hook_point(hook_point).layer + 1]
    return 2 * (sum(weight.numel() for weight in run.parameters()) + sae.W_enc.numel())


def forward(loaded: LoadedModel, hook_point: str, batches: list[Contexts]) -> None:
    """The model alone, up to the hook point."""
    for batch in batches:
        activations_at(loaded, hook_point, torch.from_numpy(batch.tokens), torch.from_numpy(batch.attend))
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product, the best of six: what to be a share of."""
    side = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        started = time.monotonic()
        torch.mm(one, other)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.monotonic() - started))
    return best


@torch.inference_mode()
def main(
    tokens: Annotated[int, typer.Option(help="Tokens a round.")] = 40_000,
    rounds: Annotated[int, typer.Option(help="Rounds that count.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    d_sae: Annotated[int | None, typer.Option(help="Features of a random SAE; the demo's if unset.")] = None,
    batch_size: Annotated[int, typer.Option(help="Contexts a batch.")] = 16,
    dtype: Annotated[str, typer.Option(help="Number format of the model.")] = "auto",
):
    with tempfile.TemporaryDirectory() as scratch:
        model, sae = random_pair(Path(scratch), d_sae) if d_sae else (demo_model(print), SAE_FOLDER)
        loaded, sae, config = load_both(ExtractConfig(model=str(model), sae=str(sae), device=device, dtype=dtype,
                                                      batch_size=batch_size, tokens=tokens * (rounds + 1)))
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
    rate = flops_a_token(loaded, sae, hook_point) * counted / spent["extraction"]
    most = peak(loaded.device, loaded.model.dtype)
    print(f"extraction     {rate / 1e12:10.3f} TFLOP/s of model and encoder, {rate / most:.0%} of the "
          f"{most / 1e12:.3f} of a large matrix product")
    print(f"peak memory    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:10,.0f} MB")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MistudioError as error:
        raise SystemExit(str(error)) from error
