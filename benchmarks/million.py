"""A database of a million features with labels, scores, verdicts and meaning vectors, to measure pages on.

    python -m benchmarks.million folder/million.db
    python -m benchmarks.million folder/small.db --features 20000

What is real: the schema, the distribution of densities and states, labels that combine the concepts of
``mistudio.demo.concepts`` with places, and their vectors: the mean of the encoder's vectors of both parts, with noise.
What is left out: one feature in a hundred has examples (``--examples-of-one-in``), all the same; no score lists
misjudged windows; no label keeps a prompt or a reply.
"""

import json
import time
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sqlalchemy import insert, text

from mistudio.demo.concepts import concepts
from mistudio.search.encoder import DIMENSIONS, ENCODER, encode
from mistudio.store import Extraction, Feature, Label, Score, open_store, session
from mistudio.store.current import label_key
from mistudio.store.examples import Examples
from mistudio.store.tables import FeatureExamples, LabelVector, Vocabulary, now

BATCH, WINDOW = 20_000, 32
PERIODS = ("recent", "early", "modern", "classical", "informal", "formal", "technical", "legal", "quoted", "translated",
           "spoken", "printed", "handwritten", "annotated", "scanned", "generated", "archived", "unsigned", "official",
           "private", "short", "long", "broken", "nested", "repeated", "rare", "common", "opening", "closing", "middle")
TEXTS = ("court rulings", "news reports", "Python modules", "commit messages", "recipes", "letters", "forum posts",
         "product reviews", "lecture notes", "patents", "speeches", "poems", "manuals", "log files", "web pages",
         "contracts", "novels", "chat logs", "exam questions", "tables", "biographies", "research abstracts",
         "tax forms", "travel guides", "sports reports", "obituaries", "song lyrics", "film scripts", "maps",
         "invoices", "sermons", "diaries", "encyclopedias", "dictionaries", "config files", "shell scripts",
         "bug reports", "interviews", "headlines", "adverts")
LABEL_STATES = (("unreviewed", 0.80), ("approved", 0.08), ("human", 0.06), ("rejected", 0.06))
PROVIDERS = ("openai", "ollama", "embedded")
FEATURES, LABELS = Feature.__table__, Label.__table__


def main(
    file: Annotated[Path, typer.Argument(help="The SQLite file to write; it must not be there yet.")],
    features: Annotated[int, typer.Option(help="How many.")] = 1_000_000,
    labeled: Annotated[float, typer.Option(help="Share of the live ones that get a label.")] = 0.95,
    examples_of_one_in: Annotated[int, typer.Option(help="One in so many features has examples.", min=1)] = 100,
):
    if file.exists():
        raise typer.BadParameter(f"{file} is there already.")
    started = time.monotonic()
    engine = open_store(f"sqlite:///{file}")
    make(engine, features, labeled, examples_of_one_in)
    engine.dispose()
    print(f"{features:,} features in {time.monotonic() - started:.0f} s, {file.stat().st_size / 1e9:.2f} GB")


def make(engine, features: int, labeled: float, examples_of_one_in: int = 100) -> None:
    """Write the extraction. Indices are made at the end, as they are when a database is restored."""
    made = Maker(features, labeled, examples_of_one_in)
    with session(engine) as work:
        connection = work.connection()
        for index in FEATURES.indexes:
            index.drop(connection)
        work.add(Vocabulary(hash="million", tokens=zlib.compress(json.dumps(made.words).encode())))
        work.add(Extraction(
            id=1, name=f"{features:,} features", model="made-up", hook_point="layers.0", sae="made-up-sae",
            sae_hash="0" * 64, architecture="topk", d_in=4, d_sae=features, corpus="made up", tokens=10**9,
            contexts=10**6, context_length=1024, window=WINDOW, dtype="float32", state="done",
            vocabulary_hash="million", finished_at=now()))
        work.flush()
        for start in range(0, features, BATCH):
            for table, rows in made.batch(start, min(BATCH, features - start)).items():
                if rows and isinstance(table, str):
                    connection.execute(text(table), rows)
                elif rows:
                    connection.execute(insert(table), rows)
        for index in FEATURES.indexes:
            index.create(connection)
        connection.execute(text("INSERT INTO label_fts(label_fts) VALUES ('optimize')"))


class Maker:
    """Rows by table, a batch at a time; the same numbers give the same rows."""

    def __init__(self, features: int, labeled: float, examples_of_one_in: int):
        self.random = np.random.default_rng(0)
        self.labeled, self.every = labeled, examples_of_one_in
        self.concepts = concepts()
        self.places = [f"in {period} {texts}" for period in PERIODS for texts in TEXTS]
        parts = encode([concept.label for concept in self.concepts] + self.places)
        self.named, self.placed = np.split(parts, [len(self.concepts)])
        # Every pair of concept and place at most once while they last.
        self.pairs = self.random.permutation(len(self.concepts) * len(self.places))
        self.words = sorted({f" {word}" for concept in self.concepts for word in concept.label.split()})
        self.examples = self._examples().to_blob()
        self.at = now()

    def batch(self, start: int, count: int) -> dict:
        random = self.random
        state = random.choice(["live", "rare", "dense", "dead"], count, p=[0.90, 0.05, 0.01, 0.04])
        density = np.select([state == "dead", state == "rare", state == "dense"], [
            0.0, 10 ** random.uniform(-8, -6, count), random.uniform(0.1, 0.6, count)],
            10 ** np.clip(random.normal(-3.5, 0.7, count), -6, -1))
        maximum = np.where(state == "dead", 0.0, np.exp(random.normal(2.0, 0.6, count)))
        pair = self.pairs[np.arange(start, start + count) % len(self.pairs)]
        concept, place = pair % len(self.concepts), pair // len(self.concepts)
        has = (random.random(count) < self.labeled) & np.isin(state, ("live", "dense"))
        names, shares = zip(*LABEL_STATES, strict=True)
        label_state = random.choice(names, count, p=shares)
        detection = np.clip(random.normal(0.76, 0.12, count), 0.3, 1.0).round(3)
        fuzzing = np.clip(detection + random.normal(0, 0.08, count), 0.3, 1.0).round(3)
        scored = random.random(count) < 0.5
        vectors = self.named[concept] + self.placed[place] + random.normal(0, 0.02, (count, DIMENSIONS))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
        rows: dict = {FEATURES: [], LABELS: [], FeatureExamples.__table__: [], Score.__table__: [],
                      LabelVector.__table__: [], FTS: []}
        for row in range(count):
            index = start + row
            label = self._label(index + 1, concept[row], place[row], label_state[row])
            values = (detection[row], fuzzing[row]) if scored[row] else None
            if values:
                label |= {"score": values[0], "score_method": "detection",
                          "disagreement": abs(values[0] - values[1])}
            tokens = [[self.words[at], int(20 - 3 * place), float(maximum[row])] for place, at in enumerate(
                random.integers(0, len(self.words), 5))] if density[row] else []
            rows[FEATURES].append(self._feature(index, state[row], density[row], maximum[row], tokens)
                                  | (held(label, label_state[row]) if has[row] else UNLABELED))
            if index % self.every == 0 and density[row]:
                rows[FeatureExamples.__table__].append({"feature_id": index + 1, "blob": self.examples})
            if not has[row]:
                continue
            rows[LABELS].append(label)
            rows[LabelVector.__table__].append({"label_id": index + 1, "encoder": ENCODER,
                                                "vector": vectors[row].tobytes()})
            rows[FTS].append({"id": index + 1, "label": label["text"], "explanation": label["explanation"],
                              "tokens": " ".join(token for token, *_rest in tokens)})
            for method, value in zip(("detection", "fuzzing"), values or (), strict=False):
                rows[Score.__table__].append(self._score(index + 1, method, value))
        return rows

    def _feature(self, index: int, state: str, density: float, maximum: float, tokens: list) -> dict:
        active = int(density * 10**9)
        edges = np.geomspace(maximum / 64, maximum, 7).round(3).tolist() if active else []
        return {"id": index + 1, "extraction_id": 1, "index": index, "density": float(density),
                "active_tokens": active, "max_activation": float(maximum), "mean_activation": float(maximum) / 3,
                "state": str(state), "top_tokens": tokens, "promoted": [[" next", 2.5], [")", 1.5]],
                "suppressed": [[" never", -2.0]], "starred": index % 5000 == 0, "note": "",
                "histogram": [[low, high, active >> bin] for bin, (low, high) in enumerate(
                    pairwise(edges))]}

    def _label(self, number: int, concept: int, place: int, state: str) -> dict:
        named, where = self.concepts[concept], self.places[place]
        by_hand = state == "human"
        return {"id": number, "feature_id": number, "text": f"{named.label} {where}",
                "explanation": f"Fires on {named.label}, most strongly {where}; weak elsewhere.", "kind": named.kind,
                "confidence": None if by_hand else float(self.random.integers(30, 100) / 100),
                "origin": "human" if by_hand else "llm", "provider": "" if by_hand else PROVIDERS[number % 3],
                "model": "" if by_hand else "made-up", "author": "ann" if by_hand else "",
                "verdict": {"approved": "approved", "human": "approved", "rejected": "rejected"}.get(state, ""),
                "score": None, "score_method": "", "disagreement": None, "created_at": self.at}

    def _score(self, label_id: int, method: str, value: float) -> dict:
        return {"label_id": label_id, "method": method, "judge": "made-up", "value": value, "low": value - 0.1,
                "high": value + 0.1, "weighted": value, "baseline": 0.5, "precision": value, "recall": value, "n": 40,
                "recalls": {"strength": {"1 to 3": [6, 10], "4 to 10": [9, 10]}}, "created_at": self.at}

    def _examples(self) -> Examples:
        count = 60
        ids = self.random.integers(0, len(self.words), (count, WINDOW)).astype(np.int32)
        activations = np.zeros((count, WINDOW), dtype=np.float16)
        peak = self.random.integers(0, WINDOW, count)
        activations[np.arange(count), peak] = self.random.uniform(0.5, 7, count)
        number = np.arange(count)
        return Examples(ids, activations, peak, number, number.astype(np.uint64), number % 3, number // 3 % 2)


FTS = "INSERT INTO label_fts(rowid, label, explanation, tokens) VALUES (:id, :label, :explanation, :tokens)"
UNLABELED = dict.fromkeys(("label_id", "score", "label_key", "origin", "provider", "kind", "confidence",
                           "disagreement")) | {"label_state": "unlabeled"}


def held(label: dict, state: str) -> dict:
    """What a feature holds of its label, as ``store.current`` writes it."""
    return {"label_id": label["id"], "label_state": str(state), "label_key": label_key(label["text"]),
            **{name: label[name] or None for name in ("score", "origin", "provider", "kind", "confidence",
                                                      "disagreement")}}


if __name__ == "__main__":
    typer.run(main)
