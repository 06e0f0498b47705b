"""One list for one query: labels that hold its words, labels that mean it, and features whose tokens it names."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from mistudio.search.vectors import ensure_vectors, label_matrix
from mistudio.store import search as sql
from mistudio.store import session
from mistudio.store.extractions import get_extraction

# Cosines below are noise; a query whose best label stays under WORTH_SHOWING means nothing that is labeled here.
LEAST_SIMILAR = 0.18
WORTH_SHOWING = 0.25
POOL = 200
LABEL_BONUS, EXPLANATION_BONUS, TOKEN_BONUS = 0.30, 0.12, 0.10


@dataclass(frozen=True)
class Hit:
    """One found feature.

    ``why`` names what matched, strongest first, joined by " + ": word (in label or explanation), meaning, token (one
    of its top tokens). ``score`` orders one list and is not comparable between queries.
    """

    index: int
    label: str
    explanation: str
    score: float
    why: str


def search(engine: Engine, extraction_id: int, query: str, limit: int = 20, meaning: bool = True) -> list[Hit]:
    """Features whose label fits the query, best first. Any text is a valid query; rejected labels are not found.

    Args:
        meaning: also search by meaning, which loads the encoder and computes vectors that are missing.

    Raises:
        StoreError: there is no such extraction.
        ModelError: the encoder cannot be loaded.
    """
    query = sql.clean(query)
    with session(engine) as work:
        get_extraction(work, extraction_id)
        if not query:
            return []
        named, explained = sql.word_hits(work, extraction_id, query, POOL)
        tokens = sql.token_hits(work, extraction_id, query, POOL)
    means = _by_meaning(engine, extraction_id, query) if meaning else {}
    ranked = _combine(named, explained, means, tokens)
    with session(engine) as work:
        found = sql.found_labels(work, [feature_id for feature_id, *_ in ranked[:limit]])
    return [Hit(found[feature_id][0].index, found[feature_id][1].text, found[feature_id][1].explanation, score, why)
            for feature_id, score, why in ranked[:limit] if feature_id in found]


def _by_meaning(engine: Engine, extraction_id: int, query: str) -> dict[int, float]:
    from mistudio.search.encoder import encode_query

    ensure_vectors(engine, extraction_id)
    ids, matrix = label_matrix(engine, extraction_id)
    if not len(ids):
        return {}
    vector = encode_query(query)
    if vector is None:
        return {}
    similar = matrix @ vector
    if similar.max() < WORTH_SHOWING:
        return {}
    best = np.argsort(-similar, kind="stable")[:POOL]
    return {int(ids[row]): float(similar[row]) for row in best if similar[row] >= LEAST_SIMILAR}


def _combine(named: list[int], explained: list[int], means: dict[int, float],
             tokens: list[int]) -> list[tuple[int, float, str]]:
    """``(feature id, score, why)``: similarity, plus a bonus for words and tokens that fades with their rank."""
    scores: dict[int, float] = dict(means)
    reasons: dict[int, list[str]] = {}
    for feature_ids, reason, bonus in ((named, "word", LABEL_BONUS), (explained, "word", EXPLANATION_BONUS),
                                       (list(means), "meaning", 0.0), (tokens, "token", TOKEN_BONUS)):
        for rank, feature_id in enumerate(feature_ids):
            scores[feature_id] = scores.get(feature_id, 0.0) + bonus * (0.5 + 0.5 / (1 + rank / 10))
            reasons.setdefault(feature_id, []).append(reason)
    ranked = sorted(scores, key=lambda feature_id: (-scores[feature_id], feature_id))
    return [(feature_id, scores[feature_id], " + ".join(reasons[feature_id])) for feature_id in ranked]
