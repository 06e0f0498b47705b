"""The SQL of search: words, phrases and tokens of current labels, and the vectors of their meaning.

SQLite searches the FTS5 table ``label_fts``, PostgreSQL ``tsvector`` indexes over the columns. However common a word
is, no more than ``RANKED`` of the labels that have it are looked at, and those that begin with it.
"""

import json
import re
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import String, cast, func, literal_column, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select, text

from mistudio.store.counts import id_bounds
from mistudio.store.current import label_key
from mistudio.store.filtering import FeatureFilter, like, matching
from mistudio.store.tables import Feature, Label

MOST_TERMS = 16
# They say nothing beside other words.
STOP_WORDS = {"a", "an", "and", "are", "as", "at", "be", "by", "do", "for", "from", "in", "into", "is", "it", "of",
              "on", "or", "that", "the", "this", "to", "was", "were", "with"}
RANKED = 1000
SHORTEST_BEGINNING = 3
# Of more features than this, symbols without a word beside them are not looked for in every text.
SCANNED = 131_072
_SHOWN = aliased(Feature)
_COLUMNS = {"label": col(Label.text), "explanation": col(Label.explanation)}
_TOKENS = cast(Feature.top_tokens, String)
# As PostgreSQL's indexes (migration 0009) have them.
_DOCUMENTS = {name: func.to_tsvector(literal_column("'english'"), column) for name, column in _COLUMNS.items()} | {
    "tokens": func.to_tsvector(literal_column("'simple'"), col(Feature.top_tokens))}


class Terms(NamedTuple):
    """What is looked for: whole ``phrases``, beginnings of ``words``, and all of it as it was typed, ``literal``."""

    phrases: tuple[str, ...]
    words: tuple[str, ...]
    literal: str

    @property
    def has_symbols(self) -> bool:
        return re.search(r"[^\w\s]", self.literal) is not None


class Found(NamedTuple):
    """A feature that can be shown as a result, with what is current of it."""

    id: int
    index: int
    label_id: int
    text: str
    explanation: str
    top_tokens: list
    state: str
    label_state: str
    kind: str | None
    score: float | None


def read_terms(query: str) -> Terms:
    """A cleaned query's words, and its phrases: what stands between double quotes."""
    phrases = [" ".join(phrase.split()) for phrase in re.findall(r'"([^"]+)"', query)]
    rest = re.sub(r'"[^"]+"', " ", query)
    literal = query if not phrases else " ".join([*phrases, *rest.split()])
    words = re.findall(r"\w+", rest)[:MOST_TERMS]
    telling = [word for word in words if word.lower() not in STOP_WORDS]
    return Terms(tuple(filter(None, phrases)), tuple(telling or words), literal)


class WordHits(NamedTuple):
    """Ids of features whose label, and of further ones whose explanation, has the words, best first; ``all`` says
    whether they have all of them, or any."""

    named: list[int]
    explained: list[int]
    all: bool


def word_hits(work: Session, extraction_id: int, terms: Terms, wanted: FeatureFilter, limit: int) -> WordHits:
    """Features whose label or explanation has the words and phrases.

    All of them, or, where nothing has them all and no phrase is asked for, any. A word also stands for every word that
    begins with it. A query with symbols (``c++``, ``{``) is looked for as it is, before its words.
    """
    named = _begins(work, extraction_id, terms, wanted, limit)
    found = {name: _having(work, extraction_id, name, terms, " AND ", wanted, limit)
             for name in ("label", "explanation")}
    if terms.has_symbols:
        exact = {name: _literal(work, extraction_id, name, terms, wanted, limit) for name in found}
        found = {name: exact[name] + ids for name, ids in found.items()}
    every = any(found.values()) or len(terms.words) < 2 or bool(terms.phrases)
    if not every:
        long = terms._replace(words=tuple(word for word in terms.words if len(word) > 2))
        found = {name: _having(work, extraction_id, name, long, " OR ", wanted, limit) for name in found}
    first = dict.fromkeys([*named, *found["label"]])
    others = [each for each in dict.fromkeys(found["explanation"]) if each not in first]
    return WordHits(list(first)[:limit], others[:limit], every)


def token_hits(work: Session, extraction_id: int, literal: str, wanted: FeatureFilter, limit: int) -> list[int]:
    """Ids of labeled features among whose top tokens one begins with the query, those with it further in front first.
    """
    if not literal or " " in literal:
        return []
    terms = Terms((), tuple(re.findall(r"\w+", literal)[:MOST_TERMS]), literal)
    if not terms.words and _size(work, extraction_id) > SCANNED:
        return []
    tokens = func.lower(_TOKENS)
    start = json.dumps(literal.lower())[1:-1]
    begins = or_(*(tokens.like(f'%["{space}{like(start)}%', escape="\\") for space in ("", " ")))
    query = labeled(select(Feature.id), extraction_id, wanted).where(begins)
    if terms.words:
        candidates = _candidates(work, extraction_id, "tokens", terms, " AND ")
        query = query.join(candidates, candidates.c.id == Feature.id)
    place = (func.instr(tokens, start) if work.get_bind().dialect.name == "sqlite" else func.strpos(tokens, start))
    return list(work.exec(query.order_by(place, col(Feature.index)).limit(limit)))


def found_labels(work: Session, extraction_id: int, wanted: FeatureFilter,
                 feature_ids: Collection[int]) -> dict[int, Found]:
    """Those of the features that match and whose label was not rejected, by id."""
    rows = work.exec(select(_SHOWN.id, _SHOWN.index, Label.id, Label.text, Label.explanation, _SHOWN.top_tokens,
                            _SHOWN.state, _SHOWN.label_state, _SHOWN.kind, _SHOWN.score)
                     .join(Label, _SHOWN.label_id == Label.id).where(*_of(feature_ids, extraction_id, wanted)))
    return {row[0]: Found(*row) for row in rows}


class Named(NamedTuple):
    """A feature beside what is said of it; ``label`` is None where it has none."""

    index: int
    label: str | None
    label_state: str
    density: float
    max_activation: float


def names_of(work: Session, extraction_id: int, indices: Collection[int]) -> dict[int, Named]:
    """Some features by index, labeled or not."""
    query = (select(Feature.index, Label.text, Feature.label_state, Feature.density, Feature.max_activation)
             .select_from(Feature).join(Label, col(Feature.label_id) == Label.id, isouter=True)
             .where(Feature.extraction_id == extraction_id, col(Feature.index).in_(indices)))
    return {row[0]: Named(*row) for row in work.exec(query)}


def current_of(work: Session, extraction_id: int, wanted: FeatureFilter, feature_ids: Collection[int],
               ) -> dict[int, int]:
    """Ids of the current labels of those of the features that match and whose label was not rejected, by id."""
    return dict(work.exec(select(_SHOWN.id, _SHOWN.label_id).where(*_of(feature_ids, extraction_id, wanted))).all())


def _of(feature_ids: Collection[int], extraction_id: int, wanted: FeatureFilter) -> tuple:
    """Conditions of ``_SHOWN``. As a plain condition beside the others, SQLite would not look features up by their ids
    but read the whole extraction."""
    return _SHOWN.id.in_(feature_ids), labeled(select(Feature.id), extraction_id, wanted).where(
        Feature.id == _SHOWN.id).correlate(_SHOWN).exists()


def few_matching(work: Session, extraction_id: int, wanted: FeatureFilter, most: int) -> list[int] | None:
    """Ids of the labeled features that match, in order; None when there are more than ``most``."""
    found = list(work.exec(labeled(select(Feature.id), extraction_id, wanted).limit(most + 1)))
    return sorted(found) if len(found) <= most else None


def labeled(query, extraction_id: int, wanted: FeatureFilter):
    """A query over features that match and have a label; one that a person rejected is none, unless asked for."""
    return matching(query.select_from(Feature), extraction_id, replace(wanted, labels=wanted.labels or "labeled"))


def _size(work: Session, extraction_id: int) -> int:
    first, last = id_bounds(work, extraction_id)
    return last - first + 1


def _begins(work: Session, extraction_id: int, terms: Terms, wanted: FeatureFilter, limit: int) -> list[int]:
    """Features whose label begins with what was typed, the label that is just that first."""
    key = label_key(terms.literal)
    if not key:
        return []
    column = col(Feature.label_key)
    query = labeled(select(Feature.id), extraction_id, wanted).where(
        column >= key, column < f"{key}\U0010ffff", column.like(f"{like(key)}%", escape="\\"))
    return list(work.exec(query.order_by(column, col(Feature.index)).limit(limit)))


def _literal(work: Session, extraction_id: int, name: str, terms: Terms, wanted: FeatureFilter,
             limit: int) -> list[int]:
    """Features that have what was typed, symbols and all; of very many only those that have its words too."""
    every = tuple(re.findall(r"\w+", terms.literal)[:MOST_TERMS])
    if not every and _size(work, extraction_id) > SCANNED:
        return []
    query = labeled(select(Feature.id), extraction_id, wanted).join(Label, col(Feature.label_id) == Label.id)
    if every:
        candidates = _candidates(work, extraction_id, name, Terms((), every, terms.literal), " AND ")
        query = query.join(candidates, candidates.c.id == Feature.id)
    holds = _COLUMNS[name].ilike(f"%{like(terms.literal)}%", escape="\\")
    return list(work.exec(query.where(holds).order_by(func.length(Label.text), col(Feature.index)).limit(limit)))


def _having(work: Session, extraction_id: int, name: str, terms: Terms, operator: str, wanted: FeatureFilter,
            limit: int) -> list[int]:
    """Features that have the words themselves, then those that have words that begin with them; short labels first.

    Not by bm25 or ts_rank: to weigh a common word, they read every text that has it.
    """
    found: dict[int, None] = {}
    for beginnings in (False, True):
        if len(found) < limit and _match(work, name, terms, operator, beginnings):
            candidates = _candidates(work, extraction_id, name, terms, operator, beginnings)
            query = labeled(select(Feature.id), extraction_id, wanted).join(candidates, candidates.c.id == Feature.id)
            order = func.length(Feature.label_key), col(Feature.index)
            found |= dict.fromkeys(work.exec(query.order_by(*order).limit(limit)))
    return list(found)


def _match(work: Session, name: str, terms: Terms, operator: str, beginnings: bool) -> str:
    """The terms in the database's own language of full-text search; quoting keeps words such as NEAR or AND apart."""
    phrases = [found for phrase in terms.phrases if (found := re.findall(r"\w+", phrase))]
    words = [(word, beginnings and len(word) >= SHORTEST_BEGINNING) for word in terms.words]
    if work.get_bind().dialect.name == "sqlite":
        parts = [f'"{" ".join(phrase)}"' for phrase in phrases]
        parts += [f'"{word}"*' if begins else f'"{word}"' for word, begins in words]
        return f"{name} : ({operator.join(parts)})" if parts else ""
    parts = [" <-> ".join(f"'{word}'" for word in phrase) for phrase in phrases]
    parts += [f"'{word}':*" if begins else f"'{word}'" for word, begins in words]
    return (" & " if operator == " AND " else " | ").join(f"({part})" for part in parts)


def _candidates(work: Session, extraction_id: int, name: str, terms: Terms, operator: str, beginnings: bool = True):
    """Ids of at most ``RANKED`` features whose text matches."""
    match = _match(work, name, terms, operator, beginnings)
    ids = id_bounds(work, extraction_id)
    if work.get_bind().dialect.name == "sqlite":
        row = literal_column("rowid")
        query = (select(row.label("id")).select_from(text("label_fts"))
                 .where(literal_column("label_fts").op("MATCH")(match), row.between(*ids)))
    else:
        words = func.to_tsquery(literal_column("'simple'" if name == "tokens" else "'english'"), match)
        query = (select(Feature.id).join(Label, col(Feature.label_id) == Label.id)
                 .where(_DOCUMENTS[name].op("@@")(words), col(Feature.id).between(*ids)))
    return query.limit(RANKED).subquery()
