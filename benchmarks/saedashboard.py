"""One whole extraction beside SAEDashboard and beside naive one-passes, on the same model, SAE and tokens.

    python -m benchmarks.saedashboard --peers ../peers/bin/python

A random GPT-2 (4 layers, width 256), a random ReLU SAE of 4,096 features and 131,072 tokens drawn by Zipf's law; all
in float32. SAEDashboard needs an environment of its own, because it wants older releases than ours:

    python -m venv ../peers
    ../peers/bin/pip install torch==2.13.0 "sae-dashboard==0.8.*" "pyarrow<22"
    ../peers/bin/pip uninstall -y torchvision torchaudio   # not used; other builds than torch's keep it from importing

Rounds of all, so that a machine that slows down slows all; the medians count. Neither naive pass has windows, a random
sample, statistics or logits, and neither reads or stores anything.
- naive: what a short script does. The whole model with ``output_hidden_states``, every feature's activation on every
  token, and a running topk over them.
- lean: the same, but up to the hook point only, and over each context's maxima. All of its work is part of ours.
- ours: all of ``extract``, from loading the model and reading the corpus to the last row in SQLite.
- SAEDashboard: one whole batch of features, once with its default settings (256 features) and once with those of its
  runner for Neuronpedia (128). More features have no cost to share: each batch repeats the forward passes. Loading and
  writing are left out.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
import typer
from safetensors.torch import save_file
from sqlmodel import select
from tokenizers import Tokenizer, models
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from mistudio.errors import MistudioError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.pipeline import extract
from mistudio.model.hook import activations_at
from mistudio.model.load import LoadedModel, load_model
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE
from mistudio.store import Extraction, Feature, open_store, session

D_IN, D_SAE, LENGTH = 256, 4096, 128
LAYER = 2
HOOK_POINT = f"blocks.{LAYER}.hook_resid_post"
ACTIVE = 0.015  # share of a feature's activations that the encoder's bias leaves above zero


def make_model(folder: Path, vocabulary: int) -> None:
    """A random GPT-2 with a tokenizer of as many made-up words."""
    words = Tokenizer(models.WordLevel({f"w{token}": token for token in range(vocabulary)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token="w0", eos_token="w0").save_pretrained(folder)
    GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=D_IN, n_layer=4, n_head=4, n_positions=LENGTH,
                               bos_token_id=0, eos_token_id=0)).save_pretrained(folder)


def make_tokens(folder: Path, count: int, vocabulary: int) -> torch.Tensor:
    """``[contexts, LENGTH]`` tokens, the r-th most frequent of them drawn with weight 1/r; never the special one."""
    weight = 1 / np.arange(1, vocabulary)
    rows = np.random.default_rng(0).choice(vocabulary - 1, (count // LENGTH, LENGTH), p=weight / weight.sum()) + 1
    np.save(folder / "tokens.npy", rows)
    parquet.write_table(pa.table({"tokens": list(rows)}), folder / "tokens.parquet")
    return torch.from_numpy(rows)


def make_sae(folder: Path, loaded: LoadedModel, tokens: torch.Tensor) -> None:
    """A random ReLU SAE in SAELens's layout, each feature's bias so that it is active on a share of some tokens."""
    folder.mkdir()
    W_dec = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN), dim=1)
    pre = resid_of(loaded, tokens[:64]).flatten(0, 1) @ W_dec.T
    b_enc = -pre.topk(int(ACTIVE * len(pre)), dim=0).values[-1]
    save_file({"W_enc": W_dec.T.contiguous(), "W_dec": W_dec, "b_enc": b_enc, "b_dec": torch.zeros(D_IN)},
              folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps({
        "architecture": "standard", "d_in": D_IN, "d_sae": D_SAE, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.0.0", "hook_name": HOOK_POINT, "context_size": LENGTH,
                     "prepend_bos": False}}))


def resid_of(loaded: LoadedModel, tokens: torch.Tensor) -> torch.Tensor:
    """``[batch, LENGTH, D_IN]`` at the hook point."""
    return activations_at(loaded, HOOK_POINT, tokens, torch.ones_like(tokens, dtype=torch.bool))


@torch.inference_mode()
def naive(loaded: LoadedModel, sae: SAE, tokens: torch.Tensor, batch_size: int, *, lean: bool, k: int = 20):
    """``[k, D_SAE]`` every feature's largest activations (lean: maxima over a context), and (thrown away) their places.
    """
    best = torch.full((k, D_SAE), -torch.inf)
    place = torch.full((k, D_SAE), -1)
    for first in range(0, len(tokens), batch_size):
        rows = tokens[first:first + batch_size]
        if lean:
            found = sae.encode(resid_of(loaded, rows)).amax(1)
        else:
            found = sae.encode(loaded.model(rows, output_hidden_states=True).hidden_states[LAYER + 1]).flatten(0, 1)
        number = torch.arange(len(found))[:, None].expand_as(found) + first
        best, order = torch.cat([best, found]).topk(k, dim=0)
        place = torch.cat([place, number]).gather(0, order)
    return best


def ours(folder: Path, tokens: int, round_: int) -> tuple[float, float, np.ndarray]:
    """Seconds of a whole extraction, its L0, and ``[D_SAE]`` every feature's largest activation as it was stored."""
    config = ExtractConfig(model=str(folder / "model"), sae=str(folder / "sae"), dtype="float32", device="cpu",
                           corpus=str(folder / "tokens.parquet"), tokens=tokens)
    engine = open_store(f"sqlite:///{folder}/{round_}.db")
    started = time.monotonic()
    extraction = extract(engine, config)
    seconds = time.monotonic() - started
    with session(engine) as work:
        counted = work.get_one(Extraction, extraction).tokens
        rows = work.exec(select(Feature.max_activation, Feature.active_tokens).order_by(Feature.index)).all()
    engine.dispose()
    largest, active = np.array(rows).T
    return seconds, active.sum() / counted, largest


def saedashboard(python: Path, folder: Path, loaded: LoadedModel, tokens: torch.Tensor,
                 largest: np.ndarray) -> dict[str, tuple[float, int]]:
    """Seconds and features of SAEDashboard by settings, once it is sure that it read and found the same as we did."""
    script = Path(__file__).with_name("saedashboard_peer.py")
    done = subprocess.run([python, "-W", "ignore", script, folder], check=True, stdout=subprocess.PIPE,
                          text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["threads"] != torch.get_num_threads():
        raise SystemExit(f"SAEDashboard ran on {found['threads']} threads, we on {torch.get_num_threads()}.")
    resid = torch.from_numpy(np.load(folder / "peer_resid.npy"))
    torch.testing.assert_close(resid, resid_of(loaded, tokens[:len(resid)]), rtol=1e-4, atol=1e-5)
    for made in found["made"].values():
        np.testing.assert_allclose(made["largest"], largest[:len(made["largest"])], atol=1e-3)
    return {f"SAEDashboard, {settings}": (made["seconds"], len(made["largest"]))
            for settings, made in found["made"].items()}


def main(
    peers: Annotated[Path, typer.Option(help="Python of the environment that has SAEDashboard.")],
    tokens: Annotated[int, typer.Option(help="Tokens of the corpus.")] = 131_072,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 3,
    vocabulary: Annotated[int, typer.Option(help="Tokens the model knows.")] = 8_192,
    batch_size: Annotated[int, typer.Option(help="Contexts a batch of the naive pass.")] = 16,
):
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder / "model", vocabulary)
        rows = make_tokens(folder, tokens, vocabulary)
        loaded = load_model(str(folder / "model"), device="cpu", dtype="float32")
        make_sae(folder / "sae", loaded, rows)
        sae = load_sae(str(folder / "sae"))
        seconds: dict[str, list[float]] = {"naive": [], "lean": [], "ours": []}
        counts = dict.fromkeys(seconds, D_SAE)
        for round_ in range(rounds):
            best = {}
            for name in ("naive", "lean"):
                started = time.monotonic()
                best[name] = naive(loaded, sae, rows, batch_size, lean=name == "lean")
                seconds[name].append(time.monotonic() - started)
            took, l0, largest = ours(folder, rows.numel(), round_)
            for each in best.values():
                np.testing.assert_allclose(each[0], largest, atol=1e-5)
            seconds["ours"].append(took)
            for name, (took, counts[name]) in saedashboard(peers, folder, loaded, rows, largest).items():
                seconds.setdefault(name, []).append(took)
            print(f"round {round_ + 1}: " + ", ".join(f"{name} {took[-1]:.1f} s" for name, took in seconds.items()),
                  flush=True)
    print(f"{torch.get_num_threads()} threads; {rows.numel():,} tokens; vocabulary {vocabulary:,}; L0 {l0:.0f} of "
          f"{D_SAE:,} ({l0 / D_SAE:.1%}); medians of {rounds} rounds")
    own = statistics.median(seconds["ours"]) / D_SAE
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:22}{median:8.1f} s {counts[name]:6,} features {median / counts[name]:9.5f} s a feature "
              f"{median / counts[name] / own:8.2f} x ours")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MistudioError as error:
        raise SystemExit(str(error)) from error
