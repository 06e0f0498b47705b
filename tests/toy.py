"""A small extraction with planted concepts, written through the real tables."""

import json
import zlib

import numpy as np
from sqlalchemy import Engine

from mistudio.store import Extraction, Feature, session
from mistudio.store.examples import Examples, Reference
from mistudio.store.tables import FeatureExamples, ReferenceWindow, Vocabulary

WINDOW = 8
CONCEPTS = {
    "digits": [" 7", "42", " 1984", "3"],
    "Python keywords": ["def", " return", " class", " import"],
    "closing brackets": [")", "]", "}", "))"],
    "court and law terms": [" court", " judge", " plaintiff", " statute"],
    "prices in dollars": ["$", " dollars", "$5", " cents"],
    "HTML tags": ["<script>", "<b>", "</p>", "<img src=x onerror=alert(1)>"],
}
FILLER = [" the", " of", " and", " to", " in", " it", " was", "\n", " with", " by"]
VOCABULARY = [token for tokens in CONCEPTS.values() for token in tokens] + FILLER


def add_toy_extraction(engine: Engine, features: int = 12, seed: int = 0, references: int = 6) -> int:
    """Feature ``i`` fires on concept ``i % 6``; the last one is dead. Returns the extraction's id.

    Scores need more reference windows than labels do; from the seventh on they hold the concept that is active in them.
    """
    random = np.random.default_rng(seed)
    concepts = list(CONCEPTS)
    with session(engine) as work:
        if work.get(Vocabulary, "toy") is None:
            work.add(Vocabulary(hash="toy", tokens=zlib.compress(json.dumps(VOCABULARY).encode())))
        extraction = Extraction(
            name="toy", model="toy-model", model_revision="local", hook_point="layers.0", sae="toy-sae",
            sae_hash="0" * 64, architecture="topk", d_in=4, d_sae=features, corpus="planted", tokens=10_000,
            contexts=100, context_length=16, window=WINDOW, dtype="float32", device="cpu", state="done",
            vocabulary_hash="toy")
        work.add(extraction)
        work.flush()
        for index in range(features):
            dead = index == features - 1
            tokens = CONCEPTS[concepts[index % len(concepts)]]
            feature = Feature(
                extraction_id=extraction.id, index=index, density=0.0 if dead else 0.001 * (index + 1),
                active_tokens=0 if dead else 10 * (index + 1), max_activation=0.0 if dead else 10.0 + index,
                mean_activation=0.0 if dead else 4.0, state="dead" if dead else "live",
                histogram=[] if dead else [[1.0, 2.0, 5], [2.0, 4.0, 9], [4.0, 8.0, 3]],
                top_tokens=[] if dead else [[token, 5, 6.0] for token in tokens],
                promoted=[[" next", 2.5], [")", 1.5]], suppressed=[[" never", -2.0]])
            work.add(feature)
            work.flush()
            if not dead:
                blob = _examples(tokens, feature.max_activation, random).to_blob()
                work.add(FeatureExamples(feature_id=feature.id, blob=blob))
        for number in range(references):
            filler = random.integers(len(VOCABULARY) - len(FILLER), len(VOCABULARY), WINDOW)
            if number >= 6:
                filler[2] = VOCABULARY.index(CONCEPTS[concepts[number % len(concepts)]][0])
            split = (number if number < 6 else number // features) % 3
            reference = Reference(filler.astype(np.int32), split=split, document=1000 + number,
                                  feature=np.array([number % features]), position=np.array([2]),
                                  activation=np.array([1.0]))
            work.add(ReferenceWindow(extraction_id=extraction.id, number=number, blob=reference.to_blob()))
        return extraction.id


def _examples(tokens: list[str], top: float, random: np.random.Generator) -> Examples:
    rows = [(split, source, rank) for split in range(3) for source in range(2) for rank in range(8)]
    count = len(rows)
    ids = random.integers(len(VOCABULARY) - len(FILLER), len(VOCABULARY), (count, WINDOW)).astype(np.int32)
    activations = np.zeros((count, WINDOW), dtype=np.float16)
    peak = random.integers(0, WINDOW, count)
    for row, (_split, source, rank) in enumerate(rows):
        ids[row, peak[row]] = VOCABULARY.index(tokens[rank % len(tokens)])
        activations[row, peak[row]] = top * (1 - rank / 20) if source == 0 else top * random.uniform(0.1, 0.9)
    split, source, _rank = (np.array(column) for column in zip(*rows, strict=True))
    document = split * 1000 + np.arange(count) % 5
    return Examples(ids, activations, peak, np.arange(count), document.astype(np.uint64), split, source)
