"""What the embedded labeler's model card states: how near its labels come to a strong LLM's on held-out features.

    python -m mistudio.demo.measure_adapter --seed-labels seed.jsonl
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mistudio.demo.train_adapter import Sample, read_seed
from mistudio.errors import MistudioError
from mistudio.label.answer import answer_schema, parse_reply
from mistudio.label.providers.embedded import ADAPTER, EmbeddedProvider
from mistudio.search.encoder import encode


def measure(samples: list[Sample], provider: EmbeddedProvider, say=print) -> dict:
    """Label the samples and compare each label with its reference by MiniLM.

    Returns:
        ``similarity``: mean cosine with the own reference; ``shuffled``: with the references of all other samples;
        ``top1``, ``top5``: share of labels whose own reference is the nearest, or among the five nearest, of all;
        ``failed``: prompts without a usable label (not in the other figures, but in ``top1`` and ``top5`` as misses);
        ``seconds``: mean of a label, without the first call, which loads the model; ``confidence``: its correlation
        with the similarity.
    """
    answers, seconds = {}, []
    for number, sample in enumerate(samples):
        messages = [{"role": "user", "content": sample.prompt()}]
        started = time.monotonic()
        try:
            answers[number] = parse_reply(provider.complete(messages, answer_schema()).text)
        except MistudioError as error:
            say(f"failed: {error} | {sample.label}")
            continue
        seconds.append(time.monotonic() - started)
        say(f"{answers[number].confidence:.2f} {answers[number].label} | {sample.label}")
    own = np.array(list(answers))
    similar = encode([answer.label for answer in answers.values()]) @ encode([sample.label for sample in samples]).T
    matching = similar[np.arange(len(own)), own]
    rank = (similar > matching[:, None]).sum(axis=1)
    others = (similar.sum() - matching.sum()) / (similar.size - len(own))
    confidence = np.array([answer.confidence for answer in answers.values()])
    return {"labels": len(samples), "failed": len(samples) - len(own), "similarity": float(matching.mean()),
            "shuffled": float(others), "top1": float((rank < 1).sum() / len(samples)),
            "top5": float((rank < 5).sum() / len(samples)), "seconds": float(np.mean(seconds[1:])),
            "confidence": float(np.corrcoef(confidence, matching)[0, 1])}


def main(
    seed_labels: Annotated[Path, typer.Option(help="The seed labels, one JSON object a line.")],
    adapter: Annotated[Path, typer.Option(help="Folder of the adapter.")] = ADAPTER,
):
    _trained, held_out = read_seed(seed_labels)
    for name, value in measure(held_out, EmbeddedProvider(adapter)).items():
        print(f"{name:12} {value:.3f}" if isinstance(value, float) else f"{name:12} {value}")


if __name__ == "__main__":
    typer.run(main)
