"""One list for one query: labels that hold its words, labels that mean it, and features whose tokens it names."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import carried
from mistudio.label.completion import mark_name
from mistudio.store import search as sql
from mistudio.store import session
from mistudio.store.extractions import get_extraction
from mistudio.store.filtering import FeatureFilter, clean

# Cosines below are noise; a query whose best label stays under WORTH_SHOWING means nothing that is labeled here.
LEAST_SIMILAR, WORTH_SHOWING = 0.16, 0.20
POOL = 200
# Tuned on one half of the queries of tests/search/quality.py (python -m benchmarks.search quality).
LABEL_BONUS, EXPLANATION_BONUS, TOKEN_BONUS = 0.15, 0.08, 0.30
# So many of the first results may hold the query's words while others mean it: `code` is in many a label, and Python
# keywords are code, too.
FIRST, WITH_WORDS = 10, 7
ANY_WORD = 0.2  # a label that has only some of the words gets this share of the bonus
# A filter that leaves no more features than this is applied before the nearest are sought, any other afterwards.
FEW = 10_000


@dataclass(frozen=True)
class Hit:
    """One found feature.

    ``why`` names what matched, strongest first, joined by " + ": word (in label or explanation), meaning, token (one
    of its top tokens). ``score`` says how well it fits this query and is not comparable with another's. ``quality`` is
    the label's score on the test split, None where it has none; ``state`` and ``label_state`` are the feature's.
    """

    index: int
    label: str
    explanation: str
    score: float
    why: str
    tokens: tuple[str, ...]
    state: str
    label_state: str
    kind: str
    quality: float | None


def search(engine: Engine, extraction_id: int, query: str, limit: int = 20, *, meaning: bool = True, words: bool = True,
           wanted: FeatureFilter = FeatureFilter()) -> list[Hit]:
    """Features whose label fits the query, best first. Any text is a valid query; what stands between double quotes
    must be in the label or explanation word for word, or begin a token. Rejected labels are not found.

    Args:
        meaning: search by meaning, which loads the encoder and computes vectors that are missing (a few hundred at
            most: ``vectors.ensure_vectors`` computes all).
        words: search by words and tokens.
        wanted: only features that match.

    Raises:
        StoreError: there is no such extraction.
        ModelError: the encoder cannot be loaded.
    """
    query = clean(query)
    terms = sql.read_terms(query)
    hits, tokens = sql.WordHits([], [], True), []
    with session(engine) as work, ThreadPoolExecutor(2) as beside:
        get_extraction(work, extraction_id)
        if not query:
            return []
        if meaning:
            vector = beside.submit(_encoded, terms.literal)
            meant = beside.submit(carried(_by_meaning), engine, extraction_id, vector, wanted)
        if words or terms.phrases:
            hits = _by_words(work, extraction_id, terms, wanted)
            tokens = sql.token_hits(work, extraction_id, terms.literal, wanted, POOL)
        means = meant.result() if meaning else {}
    if terms.phrases:
        # Word for word means that nothing else is a result.
        means = {feature_id: means[feature_id] for feature_id in {*hits.named, *hits.explained, *tokens} & means.keys()}
    ranked = _combine(hits, means, tokens)[:limit]
    with session(engine) as work:
        found = sql.found_labels(work, extraction_id, wanted, [feature_id for feature_id, *_ in ranked])
    return [_hit(found[feature_id], score, why) for feature_id, score, why in ranked if feature_id in found]


def _hit(found: sql.Found, score: float, why: str) -> Hit:
    return Hit(found.index, found.text, found.explanation, score, why,
               tuple(str(row[0]) for row in found.top_tokens[:8]), found.state, found.label_state, found.kind or "",
               found.score)


def _by_words(work: Session, extraction_id: int, terms: sql.Terms, wanted: FeatureFilter) -> sql.WordHits:
    found = sql.word_hits(work, extraction_id, terms, wanted, POOL)
    if name := mark_name(terms.literal):
        # Labels rarely hold a mark itself: they name it.
        more = sql.word_hits(work, extraction_id, sql.read_terms(name), wanted, POOL)
        found = sql.WordHits(list(dict.fromkeys(found.named + more.named)),
                             list(dict.fromkeys(found.explained + more.explained)), more.all)
    return found


def _encoded(query: str) -> np.ndarray | None:
    from mistudio.search.encoder import encode_query

    return encode_query(mark_name(query) or query)


def _by_meaning(engine: Engine, extraction_id: int, encoded: Future[np.ndarray | None],
                wanted: FeatureFilter) -> dict[int, float]:
    from mistudio.search.vectors import nearest

    among = None
    if wanted != FeatureFilter():
        with session(engine) as work:
            among = sql.few_matching(work, extraction_id, wanted, FEW)
    vector = encoded.result()
    if vector is None:
        return {}
    near = nearest(engine, extraction_id, vector, POOL if among is not None or wanted == FeatureFilter() else 5 * POOL,
                   among)
    if not near or near[0][2] < WORTH_SHOWING:
        return {}
    with session(engine) as work:
        current = sql.current_of(work, extraction_id, wanted, [feature_id for feature_id, *_ in near])
    return {feature_id: similar for feature_id, label_id, similar in near
            if similar >= LEAST_SIMILAR and current.get(feature_id) == label_id}


def _combine(hits: sql.WordHits, means: dict[int, float], tokens: list[int]) -> list[tuple[int, float, str]]:
    """``(feature id, score, why)``: similarity, plus a bonus for words and tokens that fades with their rank; some of
    the first places are for what only means the query."""
    scores: dict[int, float] = dict(means)
    reasons: dict[int, list[str]] = {}
    share = 1.0 if hits.all else ANY_WORD
    for feature_ids, reason, bonus in ((hits.named, "word", share * LABEL_BONUS),
                                       (hits.explained, "word", share * EXPLANATION_BONUS),
                                       (list(means), "meaning", 0.0), (tokens, "token", TOKEN_BONUS)):
        for rank, feature_id in enumerate(feature_ids):
            scores[feature_id] = scores.get(feature_id, 0.0) + bonus * (0.5 + 0.5 / (1 + rank / 10))
            reasons.setdefault(feature_id, []).append(reason)
    ranked = sorted(scores, key=lambda feature_id: (-scores[feature_id], feature_id))
    having = {*hits.named, *hits.explained, *tokens}
    meant = [each for each in ranked if each not in having and means[each] >= WORTH_SHOWING][:FIRST - WITH_WORDS]
    kept = {*[each for each in ranked if each in having][:FIRST - len(meant)], *meant}
    ranked.sort(key=lambda each: each not in kept)
    return [(feature_id, scores[feature_id], " + ".join(reasons[feature_id])) for feature_id in ranked]
