"""Which features are wanted and in what order, as SQL over the feature table alone."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from sqlalchemy import ColumnElement, case, or_, tuple_
from sqlmodel import col, select

from mistudio.errors import StoreError
from mistudio.store.tables import NEED, SORTED, Feature, Label

Sort = Literal["index", "label", "score", "density", "max_activation", "confidence", "state", "label_state", "kind",
               "provider", "origin", "disagreement", "need"]
SORTS: tuple[Sort, ...] = get_args(Sort)
_COLUMNS = {"index": col(Feature.index)} | SORTED
_LABELED = ("unreviewed", "approved", "human")
# By what people ask for: states of a feature's label, and whether it must have a score (None: either).
_ASKED = {
    "unlabeled": (("unlabeled", "rejected"), None), "labeled": (_LABELED, None), "unreviewed": (("unreviewed",), None),
    "approved": (("approved", "human"), None), "rejected": (("rejected",), None), "human": (("human",), None),
    "scored": (_LABELED, True), "unscored": (_LABELED, False),
}


@dataclass(frozen=True)
class FeatureFilter:
    """Which features are wanted; an unset field does not filter. ``text`` is a substring of label or explanation.

    ``labels`` is one of unlabeled (no label, or a rejected one), labeled, unreviewed (labeled by a run, no verdict
    yet), approved, rejected, human, scored, unscored (labeled, and not measured yet). ``score_above`` (that much or
    more) and ``score_below`` (less) are bounds of the current label's score on the test split. ``kind``, ``origin``
    and ``provider`` are those of the current label.
    """

    labels: str | None = None
    states: tuple[str, ...] = ()
    text: str = ""
    kind: str | None = None
    origin: str | None = None
    provider: str | None = None
    min_density: float | None = None
    max_density: float | None = None
    min_activation: float | None = None
    max_activation: float | None = None
    score_above: float | None = None
    score_below: float | None = None
    starred: bool = False
    indices: tuple[int, ...] = ()

    def as_dict(self) -> dict:
        """Only the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", (), False)}


def matching(query, extraction_id: int, wanted: FeatureFilter):
    """A query over features, limited to those that match.

    Raises:
        StoreError: there is no such label state.
    """
    query = query.where(Feature.extraction_id == extraction_id)
    if wanted.labels:
        query = query.where(_label_state(wanted.labels))
    if wanted.states:
        query = query.where(col(Feature.state).in_(wanted.states))
    if wanted.text:
        query = query.where(_says(wanted.text))
    for column, value in ((Feature.kind, wanted.kind), (Feature.origin, wanted.origin),
                          (Feature.provider, wanted.provider)):
        if value:
            query = query.where(column == value)
    for column, least, most in ((Feature.density, wanted.min_density, wanted.max_density),
                                (Feature.max_activation, wanted.min_activation, wanted.max_activation)):
        if least is not None:
            query = query.where(col(column) >= least)
        if most is not None:
            query = query.where(col(column) <= most)
    if wanted.score_above is not None:
        query = query.where(col(Feature.score) >= wanted.score_above)
    if wanted.score_below is not None:
        query = query.where(col(Feature.score) < wanted.score_below)
    if wanted.starred:
        query = query.where(col(Feature.starred).is_(True))
    if wanted.indices:
        query = query.where(col(Feature.index).in_(wanted.indices))
    return query


def _label_state(asked: str) -> ColumnElement[bool]:
    if asked not in _ASKED:
        raise StoreError(f"{asked!r} is not a label state.", f"Use one of: {', '.join(_ASKED)}.")
    states, scored = _ASKED[asked]
    right = col(Feature.label_state).in_(states)
    if scored is None:
        return right
    return right & (col(Feature.score).is_not(None) if scored else col(Feature.score).is_(None))


def _says(text: str) -> ColumnElement[bool]:
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return (select(Label.id).where(Label.id == Feature.label_id, or_(
        col(Label.text).ilike(pattern, escape="\\"), col(Label.explanation).ilike(pattern, escape="\\"))).exists())


def order(sort: Sort, *, descending: bool = False) -> tuple[ColumnElement, ...]:
    """What to order by: features without a value come last either way, those of the same value in order of index."""
    columns = (col(Feature.index),) if sort == "index" else (_COLUMNS[sort], col(Feature.index))
    first, *ties = (column.desc() if descending else column.asc() for column in columns)
    # Only where there can be none: with it on both, no index gives the order.
    return first.nulls_last(), *ties


def place(sort: Sort) -> ColumnElement:
    """The value that says where a feature stands in an order. One that is looked at now keeps the place that it had
    before it was seen, so that a walk goes on from there."""
    return NEED + case((col(Feature.seen), 0.5), else_=0.0) if sort == "need" else _COLUMNS[sort]


def beside(sort: Sort, value: object, index: int, *, descending: bool, after: bool) -> list[ColumnElement[bool]]:
    """Conditions of features that come after (or before) a place in an order, those of nearer features first."""
    column, at = _COLUMNS[sort], col(Feature.index)

    def beyond(left, right) -> ColumnElement[bool]:
        return left < right if descending == after else left > right

    if sort == "index":
        return [beyond(at, index)]
    if value is None:
        others = [column.is_(None) & beyond(at, index)]
        return others if after else [*others, column.is_not(None)]
    others = [beyond(tuple_(column, at), tuple_(value, index))]
    return [*others, column.is_(None)] if after else others
