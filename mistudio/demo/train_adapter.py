"""Train the embedded labeler: a LoRA adapter with which SmolLM2-135M completes a feature's windows with a label.

    python -m mistudio.demo.train_adapter --seed-labels seed.jsonl --out mistudio/demo/adapter

The seed labels (features of SAEs, each labeled by a strong LLM) quote third-party text and are not part of this
project; planted concepts (``planted.py``) add what they rarely show. What would teach a held-out concept is left out.
LoRA: Hu et al. 2021, arXiv:2106.09685, through the ``peft`` library. Seeded. 80 features of the first file, chosen by a
hash of their index, are never trained on and measure the result: ``python -m mistudio.demo.measure_adapter``. On a CPU
that others use too set ``OMP_NUM_THREADS=1``: threads waiting for each other cost more than they bring.
"""

import json
import math
import random
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, get_cosine_schedule_with_warmup

from mistudio.demo.concepts import tells_held_out
from mistudio.demo.corpus import demo_documents
from mistudio.demo.fetch import demo_model
from mistudio.demo.planted import Window, is_reserved, planted
from mistudio.extract.corpus import document_hash
from mistudio.extract.corpus.text import text_documents
from mistudio.label.completion import MINIMUM_STRENGTH, MOST_WINDOWS, completion_text

HELD_OUT = 80
RANK, ALPHA = 16, 32
BATCH, LEARNING_RATE, WARM_UP = 8, 5e-4, 20
DRAWN_WINDOWS = (3, 6)  # the fewest and the most that a training prompt shows
CORPUS_CHARACTERS = 3_000_000
IGNORED = -100  # the target of positions that the loss leaves out

# The seed's SAE saw mostly presidential addresses; its labels say so where it tells nothing.
_HABIT = re.compile(r",? in (?:(?:modern|presidential) )?(?:addresses|messages|speeches|speech)$")


@dataclass
class Sample:
    """A label and the windows of its feature, strongest first."""

    label: str
    windows: list[Window]

    def prompt(self, chosen: random.Random | None = None) -> str:
        """The labeler's prompt: of the strongest windows, or of a random draw (for training)."""
        windows = self.windows[:MOST_WINDOWS]
        if chosen is not None:
            fewest, most = (min(count, len(self.windows)) for count in DRAWN_WINDOWS)
            count = chosen.randint(fewest, most)
            windows = sorted(chosen.sample(self.windows, count), key=lambda window: -window.strength)
        return completion_text([window.active for window in windows], windows)


def read_seed(paths: list[Path]) -> tuple[list[Sample], list[Sample]]:
    """Seed labels as samples: those to train on, and the first file's held-out ones with their labels untouched."""
    train: list[Sample] = []
    kept_out: list[Sample] = []
    for path in paths:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows.sort(key=lambda row: document_hash(f"feature {row['feature']}"))
        if not kept_out:
            kept_out = [Sample(row["label"], _windows(row)) for row in rows[:HELD_OUT]]
            rows = rows[HELD_OUT:]
        train += [Sample(_target(row), _windows(row)) for row in rows if row["kind"] != "unclear"]
    return [sample for sample in train
            if not tells_held_out(sample.label, (window[1:] for window in sample.windows))], kept_out


def _windows(row: dict) -> list[Window]:
    windows = []
    for example in row["examples"]:
        before, active, after = re.fullmatch(r"(.*?)<<(?! <<)(.*?)>>(.*)", example["text"], re.DOTALL).groups()
        windows.append(Window(example["strength"], before, active, after))
    windows.sort(key=lambda window: -window.strength)
    strong = [window for window in windows if window.strength >= MINIMUM_STRENGTH]
    return strong or windows


def _target(row: dict) -> str:
    """The label without the corpus' habit, and with a leading token always in quotes."""
    label = _HABIT.sub("", row["label"])
    token = _windows(row)[0].active.strip()
    if row["kind"] in ("token", "pattern") and token.isalpha() and re.match(rf"{token}(?= |$)", label):
        label = f"'{token}'{label[len(token):]}"
    return label


def planted_samples(tokenizer: PreTrainedTokenizerBase, texts: Path | None, automatic: int, seed: int) -> list[Sample]:
    """Planted concepts in the demo's corpus, without the benchmark's documents, and in a folder of other texts."""
    documents, size = list(text_documents(texts)) if texts else [], 0
    for document in demo_documents():
        if is_reserved(document):
            continue
        documents.append(document)
        size += len(document.text)
        if size > CORPUS_CHARACTERS:
            break
    return [Sample(label, windows) for label, windows in
            planted(documents, tokenizer, automatic=automatic, seed=seed).items()]


def draw(sample: Sample, chosen: random.Random, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Token ids of one fresh view of a sample, and the targets: the label's tokens and the newline that ends it."""
    prompt = tokenizer(sample.prompt(chosen), add_special_tokens=False)["input_ids"]
    answer = tokenizer(f" {sample.label}\n", add_special_tokens=False)["input_ids"]
    return prompt + answer, [IGNORED] * len(prompt) + answer


def with_drawn_strengths(sample: Sample, chosen: random.Random) -> Sample:
    """A planted sample's windows with falling strengths, as those of a feature have."""
    windows = chosen.sample(sample.windows, min(MOST_WINDOWS, len(sample.windows)))
    strengths = sorted((chosen.uniform(chosen.choice((3, 6)), 10) for _ in windows[1:]), reverse=True)
    return Sample(sample.label, [window._replace(strength=strength) for window, strength in
                                 zip(windows, [10.0, *strengths], strict=True)])


def epoch_batches(seeds: list[Sample], extra: list[Sample], chosen: random.Random,
                  tokenizer: PreTrainedTokenizerBase) -> list[list[tuple[list[int], list[int]]]]:
    """One epoch's batches in random order, each of rows of about the same length."""
    samples = [*seeds, *(with_drawn_strengths(sample, chosen) for sample in extra)]
    rows = sorted((draw(sample, chosen, tokenizer) for sample in samples), key=lambda row: len(row[0]))
    batches = [rows[first:first + BATCH] for first in range(0, len(rows), BATCH)]
    chosen.shuffle(batches)
    return batches


def loss_of(model: torch.nn.Module, rows: list[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Mean cross-entropy of the label tokens. Only their positions meet the unembedding, a fifth of the work."""
    width = max(len(ids) for ids, _targets in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, (ids, wanted) in enumerate(rows):
        tokens[row, :len(ids)] = torch.tensor(ids)
        targets[row, :len(ids)] = torch.tensor(wanted)
        mask[row, :len(ids)] = 1
    causal_lm = model.get_base_model()
    device = causal_lm.device
    hidden = causal_lm.model(tokens.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
    counted = (targets[:, 1:] != IGNORED).to(device)
    logits = causal_lm.lm_head(hidden[:, :-1][counted])
    return torch.nn.functional.cross_entropy(logits.float(), targets[:, 1:].to(device)[counted])


def train(seeds: list[Sample], extra: list[Sample], tokenizer: PreTrainedTokenizerBase, out: Path, *, epochs: int,
          seed: int) -> None:
    """Train, and save the adapter in ``out`` after every epoch."""
    folder, chosen = demo_model(), random.Random(seed)
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    base.to("cuda" if torch.cuda.is_available() else "cpu")
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear",
                                            task_type="CAUSAL_LM"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    steps = epochs * math.ceil((len(seeds) + len(extra)) / BATCH)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARM_UP, steps)
    model.train()
    started, step, losses = time.monotonic(), 0, []
    for _epoch in range(epochs):
        for rows in epoch_batches(seeds, extra, chosen, tokenizer):
            loss = loss_of(model, rows)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            losses.append(loss.item())
            if step % 5 == 0 or step == steps:
                took = time.monotonic() - started
                print(f"step {step}/{steps}, loss {np.mean(losses[-20:]):.3f}, {took / step:.1f} s a step, "
                      f"{took / step * (steps - step) / 60:.0f} min left", flush=True)
        save(model, out)


def save(model: PeftModel, out: Path) -> None:
    """Write ``adapter_model.safetensors`` in bfloat16 and its config; README.md in the folder stays."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        weights = load_file(Path(scratch) / "adapter_model.safetensors")
        halved = {name: value.to(torch.bfloat16) for name, value in weights.items()}
        save_file(halved, out / "adapter_model.safetensors", metadata={"format": "pt"})
        config = json.loads((Path(scratch) / "adapter_config.json").read_text())
        config["target_modules"] = sorted(config["target_modules"])
        config["base_model_name_or_path"] = "HuggingFaceTB/SmolLM2-135M-Instruct"
        (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def main(
    seed_labels: Annotated[list[Path], typer.Option(help="The seed labels, one JSON object a line; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the adapter.")],
    texts: Annotated[Path | None, typer.Option(help="A folder of other texts to find planted concepts in.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the samples, each with other windows.")] = 3,
    automatic: Annotated[int, typer.Option(help="Planted concepts made from the corpus' own tokens.")] = 90,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
):
    tokenizer = AutoTokenizer.from_pretrained(demo_model(print))
    seeds, _held_out = read_seed(seed_labels)
    extra = planted_samples(tokenizer, texts, automatic, seed)
    print(f"{len(seeds)} seed labels, {len(extra)} planted concepts", flush=True)
    train(seeds, extra, tokenizer, out, epochs=epochs, seed=seed)


if __name__ == "__main__":
    typer.run(main)
