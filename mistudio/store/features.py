"""Features: filter, sort and page in SQL."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from sqlalchemy import bindparam, func, insert, or_
from sqlmodel import Session, col, select

from mistudio.errors import StoreError
from mistudio.store.tables import Extraction, Feature, FeatureExamples, Label

# Prepared once, for all features of a run: to build statements anew takes longer than to run them.
_READ = (select(Feature, Label, Extraction, FeatureExamples).join(Extraction)
         .join(Label, col(Feature.label_id) == Label.id, isouter=True)
         .join(FeatureExamples, col(FeatureExamples.feature_id) == Feature.id, isouter=True)
         .where(col(Feature.id).in_(bindparam("of_features", expanding=True))))
Sort = Literal["index", "density", "max_activation", "label", "confidence", "score"]


@dataclass(frozen=True)
class FeatureFilter:
    """Which features are wanted; an unset field does not filter. ``text`` is a substring of label or explanation.

    ``labels`` is one of unlabeled (no label, or a rejected one), labeled, unreviewed (labeled by a run, no verdict
    yet), approved, rejected, human, scored, unscored (labeled, and not measured yet). ``score_above`` (that much or
    more) and ``score_below`` (less) are bounds of the current label's score on the test split.
    """

    labels: str | None = None
    states: tuple[str, ...] = ()
    text: str = ""
    kind: str | None = None
    min_density: float | None = None
    max_density: float | None = None
    min_activation: float | None = None
    score_above: float | None = None
    score_below: float | None = None
    starred: bool = False
    indices: tuple[int, ...] = ()

    def as_dict(self) -> dict:
        """Only the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", (), False)}


def _matching(query, extraction_id: int, wanted: FeatureFilter):
    query = (query.select_from(Feature).join(Label, col(Feature.label_id) == Label.id, isouter=True)
             .where(Feature.extraction_id == extraction_id))
    named = col(Feature.label_id).is_not(None)
    states = {
        "unlabeled": or_(col(Feature.label_id).is_(None), Label.verdict == "rejected"),
        "labeled": named & (Label.verdict != "rejected"),
        "unreviewed": named & (Label.verdict == "") & (Label.origin != "human"),
        "approved": named & (Label.verdict == "approved"),
        "rejected": named & (Label.verdict == "rejected"),
        "human": named & (Label.origin == "human"),
        "scored": named & (Label.verdict != "rejected") & col(Feature.score).is_not(None),
        "unscored": named & (Label.verdict != "rejected") & col(Feature.score).is_(None),
    }
    if wanted.labels:
        if wanted.labels not in states:
            raise StoreError(f"{wanted.labels!r} is not a label state.", f"Use one of: {', '.join(states)}.")
        query = query.where(states[wanted.labels])
    if wanted.states:
        query = query.where(col(Feature.state).in_(wanted.states))
    if wanted.text:
        pattern = "%" + wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = query.where(or_(col(Label.text).ilike(pattern, escape="\\"),
                                col(Label.explanation).ilike(pattern, escape="\\")))
    if wanted.kind:
        query = query.where(Label.kind == wanted.kind)
    if wanted.min_density is not None:
        query = query.where(Feature.density >= wanted.min_density)
    if wanted.max_density is not None:
        query = query.where(Feature.density <= wanted.max_density)
    if wanted.min_activation is not None:
        query = query.where(Feature.max_activation >= wanted.min_activation)
    if wanted.score_above is not None:
        query = query.where(col(Feature.score) >= wanted.score_above)
    if wanted.score_below is not None:
        query = query.where(col(Feature.score) < wanted.score_below)
    if wanted.starred:
        query = query.where(col(Feature.starred).is_(True))
    if wanted.indices:
        query = query.where(col(Feature.index).in_(wanted.indices))
    return query


def add_features(work: Session, rows: list[dict], blobs: list[bytes | None]) -> list[int]:
    """Store features (a dict of columns each), and beside each the blob of its examples; None where it has none.

    Returns:
        the features' database ids.
    """
    ids = work.exec(insert(Feature).returning(Feature.id, sort_by_parameter_order=True), params=rows).scalars().all()
    examples = [{"feature_id": feature_id, "blob": blob} for feature_id, blob in zip(ids, blobs, strict=True) if blob]
    if examples:
        work.exec(insert(FeatureExamples), params=examples)
    return list(ids)


def count_features(work: Session, extraction_id: int, wanted: FeatureFilter = FeatureFilter()) -> int:
    """How many features match."""
    return work.exec(_matching(select(func.count()), extraction_id, wanted)).one()


def list_features(work: Session, extraction_id: int, wanted: FeatureFilter = FeatureFilter(), *,
                  sort: Sort = "index", descending: bool = False, limit: int | None = 50,
                  offset: int = 0) -> list[tuple[Feature, Label | None]]:
    """One page of matching features, each with its current label. Features without a value sort last."""
    column = {"index": col(Feature.index), "density": col(Feature.density), "label": func.lower(Label.text),
              "max_activation": col(Feature.max_activation), "confidence": col(Label.confidence),
              "score": col(Feature.score)}[sort]
    order = (column.desc() if descending else column.asc()).nulls_last()
    query = _matching(select(Feature, Label), extraction_id, wanted).order_by(order, col(Feature.index))
    return list(work.exec(query.limit(limit).offset(offset)))


def feature_ids(work: Session, extraction_id: int, wanted: FeatureFilter = FeatureFilter()) -> list[int]:
    """Database ids of matching features, in order of index."""
    return list(work.exec(_matching(select(Feature.id), extraction_id, wanted).order_by(col(Feature.index))))


def neighbours(work: Session, extraction_id: int, wanted: FeatureFilter,
               index: int) -> tuple[int | None, int | None, int]:
    """Around an index, among matching features: the one before, the one after, and how many lie before."""
    low = _matching(select(func.max(Feature.index), func.count()), extraction_id, wanted).where(Feature.index < index)
    high = _matching(select(func.min(Feature.index)), extraction_id, wanted).where(Feature.index > index)
    before, place = work.exec(low).one()
    return before, work.exec(high).one(), place


def points(work: Session, extraction_id: int, wanted: FeatureFilter = FeatureFilter()) -> list[tuple]:
    """``(index, density, max_activation, state, label text or None)`` of matching features, for charts."""
    query = select(Feature.index, Feature.density, Feature.max_activation, Feature.state, Label.text)
    return [tuple(row) for row in work.exec(_matching(query, extraction_id, wanted).order_by(col(Feature.index)))]


def get_feature(work: Session, extraction_id: int, index: int) -> tuple[Feature, Label | None]:
    """A feature and its current label.

    Raises:
        StoreError: the extraction has no such feature.
    """
    found = list_features(work, extraction_id, FeatureFilter(indices=(index,)), limit=1)
    if not found:
        raise StoreError(f"Extraction {extraction_id} has no feature {index}.", "Check the index against d_sae.")
    return found[0]


class Read(NamedTuple):
    """A feature with all that is shown of it to a labeler; ``label`` is its current one."""

    feature: Feature
    label: Label | None
    extraction: Extraction
    examples: FeatureExamples | None


def read_features(work: Session, feature_ids: Collection[int]) -> dict[int, Read]:
    """Features by id, all in one statement. While the result is kept, the session finds each row without another."""
    return {row[0].id: Read(*row) for row in work.exec(_READ, params={"of_features": list(feature_ids)})}


def annotate(work: Session, feature_id: int, *, starred: bool | None = None, note: str | None = None) -> None:
    """Star a feature or write a note on it."""
    feature = work.get_one(Feature, feature_id)
    if starred is not None:
        feature.starred = starred
    if note is not None:
        feature.note = note
    work.add(feature)
