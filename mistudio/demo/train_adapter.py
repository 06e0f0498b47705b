"""Train the embedded labeler: a LoRA adapter with which SmolLM2-135M completes a feature's windows with a label.

    python -m mistudio.demo.train_adapter --seed-labels seed.jsonl --out mistudio/demo/adapter

The seed labels (features of SAEs, each labeled by a strong LLM) quote third-party text and are not part of this
project; planted concepts (``planted.py``) add what they rarely show. What would teach a held-out concept is left out.
The loop is that of every distillation (``mistudio.distill.train``). Seeded. 80 features of the first file, chosen by a
hash of their index, are never trained on and measure the result: ``python -m mistudio.demo.measure_adapter``. On a CPU
that others use too set ``OMP_NUM_THREADS=1``: threads waiting for each other cost more than they bring.
"""

import json
import random
import re
from pathlib import Path
from typing import Annotated

import typer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mistudio.demo.concepts import tells_held_out
from mistudio.demo.corpus import demo_documents
from mistudio.demo.fetch import demo_model
from mistudio.demo.planted import Window, is_reserved, planted
from mistudio.demo.sums import write_sums
from mistudio.distill.samples import Sample
from mistudio.distill.train import Row, Step, batched, fit, new_adapter, row_of, save_adapter
from mistudio.extract.corpus import document_hash
from mistudio.extract.corpus.text import text_documents
from mistudio.label.completion import MINIMUM_STRENGTH, MOST_WINDOWS
from mistudio.model.load import load_model

HELD_OUT = 80
RANK, BATCH, LEARNING_RATE = 16, 8, 5e-4
CHECKPOINT_SECONDS = 300
CORPUS_CHARACTERS = 3_000_000

# The seed's SAE saw mostly presidential addresses; its labels say so where it tells nothing.
_HABIT = re.compile(r",? in (?:(?:modern|presidential) )?(?:addresses|messages|speeches|speech)$")


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


def with_drawn_strengths(sample: Sample, chosen: random.Random) -> Sample:
    """A planted sample's windows with falling strengths, as those of a feature have."""
    windows = chosen.sample(sample.windows, min(MOST_WINDOWS, len(sample.windows)))
    strengths = sorted((chosen.uniform(chosen.choice((3, 6)), 10) for _ in windows[1:]), reverse=True)
    return Sample(sample.label, [window._replace(strength=strength) for window, strength in
                                 zip(windows, [10.0, *strengths], strict=True)])


def epoch_rows(seeds: list[Sample], extra: list[Sample], chosen: random.Random,
               tokenizer: PreTrainedTokenizerBase) -> list[Row]:
    """What one epoch trains on, with new windows."""
    samples = [*seeds, *(with_drawn_strengths(sample, chosen) for sample in extra)]
    return [row_of(sample, chosen, tokenizer) for sample in samples]


def train(seeds: list[Sample], extra: list[Sample], out: Path, *, epochs: int, seed: int) -> None:
    """Train, and save the adapter in ``out``; the same call goes on with a training that was killed."""
    loaded = load_model(str(demo_model()), dtype="auto")
    model = new_adapter(loaded.model, RANK, seed)

    def batches(epoch: int) -> list[list[Row]]:
        chosen = random.Random(f"{seed} {epoch}")
        return batched(epoch_rows(seeds, extra, chosen, loaded.tokenizer), BATCH, chosen)

    def on_step(step: Step) -> None:
        if step.done % 5 == 0 or step.done == step.steps:
            print(step, flush=True)

    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    fit(model, batches, epochs=epochs, learning_rate=LEARNING_RATE, seed=seed, checkpoint=checkpoint,
        checkpoint_seconds=CHECKPOINT_SECONDS, on_step=on_step)
    save_adapter(model, out, "HuggingFaceTB/SmolLM2-135M-Instruct")
    write_sums(out, ["adapter_config.json", "adapter_model.safetensors"])
    checkpoint.unlink()


def main(
    seed_labels: Annotated[list[Path], typer.Option(help="The seed labels, one JSON object a line; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the adapter.")],
    texts: Annotated[Path | None, typer.Option(help="A folder of other texts to find planted concepts in.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the samples, each with other windows.")] = 2,
    automatic: Annotated[int, typer.Option(help="Planted concepts made from the corpus' own tokens.")] = 90,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
):
    tokenizer = AutoTokenizer.from_pretrained(demo_model(print))
    seeds, _held_out = read_seed(seed_labels)
    extra = planted_samples(tokenizer, texts, automatic, seed)
    print(f"{len(seeds)} seed labels, {len(extra)} planted concepts", flush=True)
    train(seeds, extra, out, epochs=epochs, seed=seed)


if __name__ == "__main__":
    typer.run(main)
