"""The SQL of search: words, substrings and tokens of current labels, and the vectors of their meaning.

Labels that a person rejected are never found. SQLite searches the FTS5 table ``label_fts``; PostgreSQL builds its
``tsvector`` from the columns.
"""

import json
import re

from sqlalchemy import String, cast, func, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, text

from mistudio.store.tables import Feature, Label, LabelVector

LONGEST_QUERY = 200
MOST_TERMS = 16


def clean(query: str) -> str:
    """The query as a database can take it: no NUL, no lone surrogates, single spaces, at most 200 characters."""
    whole = query.encode("utf-8", "ignore").decode().replace("\0", " ")
    return " ".join(whole.split())[:LONGEST_QUERY]


def word_hits(work: Session, extraction_id: int, query: str, limit: int) -> tuple[list[int], list[int]]:
    """Ids of features whose label, and of further ones whose explanation, holds the query's words, best first.

    All words of the query, or, where nothing has them all, any. A word also stands for every word that begins with
    it. A query with symbols (``c++``, ``{``) is looked for as it is, before its words.
    """
    query = clean(query)
    terms = _terms(query)
    columns = {"label": col(Label.text), "explanation": col(Label.explanation)}
    found = {}
    for name, column in columns.items():
        exact = _substring(work, extraction_id, column, query, limit) if re.search(r"[^\w\s]", query) else []
        found[name] = exact + _words(work, extraction_id, name, column, terms, " AND ", limit)
    if not any(found.values()) and len(terms) > 1:
        long = [term for term in terms if len(term) > 2]
        found = {name: _words(work, extraction_id, name, column, long, " OR ", limit)
                 for name, column in columns.items()}
    named = list(dict.fromkeys(found["label"]))[:limit]
    return named, [feature_id for feature_id in dict.fromkeys(found["explanation"]) if feature_id not in named][:limit]


def token_hits(work: Session, extraction_id: int, query: str, limit: int) -> list[int]:
    """Ids of labeled features among whose top tokens one begins with the query, most confident labels first."""
    query = clean(query)
    if not query:
        return []
    start = _like(json.dumps(query)[1:-1])
    tokens = cast(Feature.top_tokens, String)
    begins = or_(tokens.ilike(f'%["{start}%', escape="\\"), tokens.ilike(f'%[" {start}%', escape="\\"))
    return list(work.exec(_findable(select(Feature.id), extraction_id).where(begins)
                          .order_by(col(Label.confidence).desc().nulls_last(), col(Feature.index)).limit(limit)))


def found_labels(work: Session, feature_ids: list[int]) -> dict[int, tuple[Feature, Label]]:
    """Features with their current labels, by feature id; rejected ones are left out."""
    rows = work.exec(select(Feature, Label).join(Label, col(Feature.label_id) == Label.id)
                     .where(col(Feature.id).in_(feature_ids), Label.verdict != "rejected"))
    return {feature.id: (feature, label) for feature, label in rows}


def fingerprint(work: Session, extraction_id: int) -> tuple:
    """Changes whenever the set of findable labels does: their count and two sums over their ids."""
    weighted = func.sum(col(Feature.label_id) * (col(Feature.index) + 1))
    return tuple(work.exec(_findable(select(func.count(), func.sum(Feature.label_id), weighted), extraction_id)).one())


def without_vector(work: Session, extraction_id: int, encoder: str) -> list[tuple[int, str, str]]:
    """``(label id, text, explanation)`` of findable labels that have no vector of this encoder yet."""
    query = _findable(select(Label.id, Label.text, Label.explanation), extraction_id)
    query = query.join(LabelVector, (col(LabelVector.label_id) == Label.id) & (LabelVector.encoder == encoder),
                       isouter=True).where(col(LabelVector.label_id).is_(None))
    return [tuple(row) for row in work.exec(query)]


def save_vectors(work: Session, encoder: str, vectors: list[tuple[int, bytes]]) -> None:
    """Store ``(label id, float16 bytes)``; another writer may have stored the same meanwhile."""
    insert = (sqlite if work.get_bind().dialect.name == "sqlite" else postgresql).insert(LabelVector)
    upsert = insert.on_conflict_do_update(index_elements=["label_id"], set_={
        "encoder": insert.excluded.encoder, "vector": insert.excluded.vector})
    work.execute(upsert, [{"label_id": label_id, "encoder": encoder, "vector": vector} for label_id, vector in vectors])


def load_vectors(work: Session, extraction_id: int, encoder: str) -> list[tuple[int, bytes]]:
    """``(feature id, float16 bytes)`` of every findable label that has a vector of this encoder."""
    query = _findable(select(Feature.id, LabelVector.vector), extraction_id)
    return [tuple(row) for row in work.exec(query.join(LabelVector, col(LabelVector.label_id) == Label.id)
                                            .where(LabelVector.encoder == encoder))]


def _findable(query, extraction_id: int):
    return (query.select_from(Feature).join(Label, col(Feature.label_id) == Label.id)
            .where(Feature.extraction_id == extraction_id, Label.verdict != "rejected"))


def _terms(query: str) -> list[str]:
    return re.findall(r"\w+", query)[:MOST_TERMS]


def _like(literal: str) -> str:
    return literal.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _substring(work: Session, extraction_id: int, column, query: str, limit: int) -> list[int]:
    holds = column.ilike(f"%{_like(query)}%", escape="\\")
    return list(work.exec(_findable(select(Feature.id), extraction_id).where(holds)
                          .order_by(func.length(Label.text), col(Feature.index)).limit(limit)))


def _words(work: Session, extraction_id: int, name: str, column, terms: list[str], operator: str,
           limit: int) -> list[int]:
    if not terms:
        return []
    if work.get_bind().dialect.name == "sqlite":
        # Quoting is what keeps words such as NEAR or AND from being read as FTS5 syntax.
        match = operator.join(f'"{term}"' + ("*" if len(term) > 1 else "") for term in terms)
        rows = work.exec(text(
            "SELECT feature.id FROM label_fts JOIN feature ON feature.id = label_fts.rowid "
            "JOIN label ON label.id = feature.label_id "
            "WHERE label_fts MATCH :match AND feature.extraction_id = :extraction AND label.verdict <> 'rejected' "
            'ORDER BY bm25(label_fts), feature."index" LIMIT :limit').bindparams(
                match=f"{name} : ({match})", extraction=extraction_id, limit=limit))
        return [row[0] for row in rows]
    match = (" & " if operator == " AND " else " | ").join(f"'{term}'" + (":*" if len(term) > 1 else "")
                                                           for term in terms)
    document, wanted = func.to_tsvector("english", column), func.to_tsquery("english", match)
    return list(work.exec(_findable(select(Feature.id), extraction_id).where(document.op("@@")(wanted))
                          .order_by(func.ts_rank(document, wanted).desc(), col(Feature.index)).limit(limit)))
