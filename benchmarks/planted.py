"""How often a labeler names what a feature truly detects, on features whose concept is known.

    python -m benchmarks.planted                 # the embedded labeler, its base without adapter, and rules
    python -m benchmarks.planted --candidates 3  # and the best of three labels each, chosen on the select split

Every concept of ``mistudio/demo/concepts`` becomes a feature: active on the tokens that its pattern marks, strongly or
middling, and faintly on random others, in documents of the demo's corpus that nothing was trained on. The features go
through a features file, ``import-features`` and an ordinary labeling run. A label is right where it names the concept:
the accepted wordings stand beside each concept. Held-out concepts are those that no training or tuning ever saw.
"""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from sqlalchemy import Engine
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from benchmarks.rules import RulesProvider
from mistudio.demo.concepts import Concept, concepts
from mistudio.demo.corpus import demo_documents
from mistudio.demo.fetch import demo_model
from mistudio.demo.planted import covered, is_reserved, token_spans
from mistudio.exchange.imports import import_features
from mistudio.jobs.labeling import LabelJob, start_run
from mistudio.label.config import LabelConfig
from mistudio.label.providers import Provider
from mistudio.label.providers.embedded import ADAPTER, EmbeddedProvider
from mistudio.run import loop
from mistudio.store import open_store, session
from mistudio.store.features import FeatureFilter, list_features

CHARACTERS = 1_000_000
WINDOW, SIDE = 32, 16
FEWEST, MOST = 15, 90  # documents with the concept; a feature with fewer is left out
NOISE = 0.25  # share of windows in which the feature is only faintly active, on any token
SILENT = 400  # reference windows
SAMPLED = 0.7  # temperature of candidates that are sampled


# The tokens of each place where a text has a concept.
Places = list[list[int]]


class Text(NamedTuple):
    """A document with its tokens' texts and their places."""

    name: str
    text: str
    spans: list[tuple[int, int]]


def read(tokenizer: PreTrainedTokenizerBase) -> list[Text]:
    """Documents that no labeler was trained on."""
    found, size = [], 0
    for document in filter(is_reserved, demo_documents()):
        # Long files come in pieces of one name; each is a document of its own here.
        found.append(Text(f"{document.name}#{len(found)}", document.text, token_spans(document.text, tokenizer)))
        size += len(document.text)
        if size > CHARACTERS:
            break
    return found


def _line(text: Text, middle: int, active: dict[int, float]) -> dict:
    """A window of tokens around one; ``active`` are activations by token."""
    first = max(0, min(middle - SIDE, len(text.spans) - WINDOW))
    places = range(first, min(first + WINDOW, len(text.spans)))
    return {"tokens": [text.text[slice(*text.spans[place])] for place in places], "document": text.name,
            "activations": [round(active.get(place, 0.0), 2) for place in places]}


def _active(concept: Concept, text: Text) -> Places:
    """The tokens of each place where a text has the concept."""
    return [tokens for start, end in concept.spans(text.text) if (tokens := covered(text.spans, start, end))]


def lines_of(index: int, active: list[Places], texts: list[Text], chosen: random.Random) -> Iterator[dict]:
    """Windows of one concept's feature: one in a document, some of them noise."""
    holding = [(text, found) for text, found in zip(texts, active, strict=True) if found]
    for text, found in chosen.sample(holding, min(MOST, len(holding))):
        strength = {token: chosen.uniform(4, 10) for tokens in found for token in tokens}
        yield {"index": index, "source": "random"} | _line(text, chosen.choice(found)[0], strength)
    for text in chosen.sample(texts, round(NOISE * min(MOST, len(holding)))):
        token = chosen.randrange(len(text.spans))
        yield {"index": index, "source": "random"} | _line(text, token, {token: chosen.uniform(0.3, 2.5)})


def references(active: list[list[Places]], texts: list[Text], chosen: random.Random) -> Iterator[dict]:
    """Random windows with all that is active in them, so that every other feature is known to be silent there."""
    for at in chosen.sample(range(len(texts)), min(SILENT, len(texts))):
        middle = chosen.randrange(len(texts[at].spans))
        told = {}
        for index, places in enumerate(active):
            tokens = {token for place in places[at] for token in place}
            values = _line(texts[at], middle, dict.fromkeys(tokens, 7.0))["activations"]
            if any(values):
                told[str(index)] = values
        yield _line(texts[at], middle, {}) | {"activations": told}


def write(path: Path, texts: list[Text]) -> list[Concept]:
    """The features file; returns the concepts that have enough text, in order of their features' indices."""
    chosen = random.Random(0)
    places = {concept: [_active(concept, text) for text in texts] for concept in concepts()}
    found = [concept for concept, active in places.items() if sum(map(bool, active)) >= FEWEST]
    with path.open("w") as file:
        for index, concept in enumerate(found):
            file.writelines(json.dumps(line) + "\n" for line in lines_of(index, places[concept], texts, chosen))
        file.writelines(json.dumps(line) + "\n" for line in references([places[each] for each in found], texts, chosen))
    return found


def label(engine: Engine, extraction_id: int, provider: Provider, config: LabelConfig) -> tuple[dict[int, str], float]:
    """Labels by feature index from an ordinary run, and the seconds it took; the model was loaded before."""
    run_id = start_run(engine, extraction_id, config, FeatureFilter())
    started = time.monotonic()
    loop.work(engine, run_id, LabelJob(engine, run_id, config, provider))
    took = time.monotonic() - started
    with session(engine) as work:
        rows = list_features(work, extraction_id, FeatureFilter(), limit=10_000)
        return {feature.index: row.text for feature, row in rows if row and row.run_id == run_id}, took


def report(name: str, found: list[Concept], labels: dict[int, str], took: float) -> None:
    """Shares of right labels, those without a label counted as wrong."""
    right = [concept.named_by(labels.get(index, "")) for index, concept in enumerate(found)]
    parts = {"held out": [concept.held_out for concept in found], "taught": [not each.held_out for each in found]}
    shares = [f"{part} {sum(map(bool.__and__, right, rows)) / sum(rows):.0%} of {sum(rows)}"
              for part, rows in parts.items()]
    print(f"{name:28} {'; '.join(shares)}; {len(found) - len(labels)} without a label; "
          f"{len(found) / took:.2f} features/s", flush=True)
    kinds = dict.fromkeys(concept.kind for concept in found)
    print(" " * 29 + "held out by kind: " + ", ".join(
        f"{kind} {sum(right[at] for at in rows)}/{len(rows)}" for kind in kinds
        if (rows := [at for at, each in enumerate(found) if each.kind == kind and each.held_out])), flush=True)


def main(
    adapter: Annotated[Path | None, typer.Option(help="Folder of an adapter; the shipped one if unset.")] = None,
    candidates: Annotated[int, typer.Option(help="Also the best of so many labels.")] = 1,
    alone: Annotated[bool, typer.Option(help="Leave out the plain model and the rules.")] = False,
    show: Annotated[bool, typer.Option(help="Print each label beside its concept.")] = False,
):
    tokenizer = AutoTokenizer.from_pretrained(demo_model(print))
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(f"sqlite:///{folder}/planted.db")
        file = Path(folder) / "planted.jsonl"
        found = write(file, read(tokenizer))
        extraction_id = import_features(engine, file).extraction
        print(f"{len(found)} concepts, {sum(concept.held_out for concept in found)} of them held out")
        ours = EmbeddedProvider(adapter or ADAPTER)
        labelers = {"embedded": (ours, LabelConfig(provider="embedded"))}
        if candidates > 1:
            several = LabelConfig(provider="embedded", candidates=candidates)
            sampling = EmbeddedProvider(adapter or ADAPTER, temperature=SAMPLED)
            labelers[f"embedded, best of {candidates}"] = (ours, several)
            labelers[f"best of {candidates}, sampled"] = (sampling, several.model_copy(update={"temperature": SAMPLED}))
        if not alone:
            labelers["rules only"] = (RulesProvider(), LabelConfig(provider="embedded"))
            labelers["plain model, no adapter"] = (EmbeddedProvider(None), LabelConfig(provider="embedded"))
        for name, (provider, config) in labelers.items():
            provider.complete([{"role": "user", "content": "Active tokens: a\n10: <<a>>\nLabel:"}], {})
            labels, took = label(engine, extraction_id, provider, config.model_copy(update={"replace_human": True}))
            report(name, found, labels, took)
            if show:
                for index, concept in enumerate(found):
                    mark = "right" if concept.named_by(labels.get(index, "")) else "WRONG"
                    print(f"  {mark} {'held out' if concept.held_out else '        '} {concept.label} | "
                          f"{labels.get(index, '(none)')}")
        engine.dispose()


if __name__ == "__main__":
    typer.run(main)
