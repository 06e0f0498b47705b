"""What the embedded labeler's model card states: how near its labels come to a strong LLM's on held-out features.

    python -m mistudio.demo.measure_adapter --seed-labels seed.jsonl
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mistudio.demo.train_adapter import read_seed
from mistudio.distill.measure import compare, label_all
from mistudio.distill.samples import Sample
from mistudio.label.prompts import COMPLETION, Prompt
from mistudio.label.providers.embedded import ADAPTER, EmbeddedProvider


def measure(samples: list[Sample], provider: EmbeddedProvider, say=print) -> dict:
    """Label the samples and compare each label with its reference by MiniLM.

    Returns:
        the figures of ``mistudio.label.adapters.Measures``; ``seconds``: mean of a label, with those that load the
        model left out; ``confidence``: its correlation with the similarity.
    """
    prompts = [Prompt([{"role": "user", "content": sample.prompt()}], COMPLETION, "") for sample in samples]
    label_all(provider, prompts[:1], lambda *_done: None)  # loads the model
    started = time.monotonic()
    asked = label_all(provider, prompts, lambda *_done: None)
    seconds = (time.monotonic() - started) / len(samples)
    answers = [each.answer for each in asked]
    for sample, each in zip(samples, asked, strict=True):
        said = f"{each.answer.confidence:.2f} {each.answer.label}" if each.answer else f"failed: {each.error}"
        say(f"{said} | {sample.label}")
    measured = compare([answer.label if answer else None for answer in answers], [sample.label for sample in samples])
    given = [row for row, answer in enumerate(answers) if answer]
    correlation = np.corrcoef([answers[row].confidence for row in given], np.array(measured.similarity)[given])[0, 1]
    return measured.summary().model_dump(exclude_none=True) | {"seconds": seconds, "confidence": float(correlation)}


def main(
    seed_labels: Annotated[Path, typer.Option(help="The seed labels, one JSON object a line.")],
    adapter: Annotated[Path, typer.Option(help="Folder of the adapter.")] = ADAPTER,
):
    _trained, held_out = read_seed(seed_labels)
    for name, value in measure(held_out, EmbeddedProvider(adapter)).items():
        print(f"{name:12} {value:.3f}" if isinstance(value, float) else f"{name:12} {value}")


if __name__ == "__main__":
    typer.run(main)
