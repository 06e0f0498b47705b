"""Which features are wanted and in what order, as SQL over the feature table alone."""

import re
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from sqlalchemy import ColumnElement, bindparam, case, or_, text, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import NullType
from sqlmodel import col, select

from mistudio.errors import StoreError
from mistudio.store.tables import NEED, SAMPLED, SORTED, Feature, Label, one_in

Sort = Literal["index", "label", "score", "density", "max_activation", "confidence", "state", "label_state", "kind",
               "provider", "origin", "disagreement", "need"]
SORTS: tuple[Sort, ...] = get_args(Sort)
_COLUMNS = {"index": col(Feature.index)} | SORTED
LABELED = ("unreviewed", "approved", "human")
# By what people ask for: states of a feature's label, and whether it must have a score (None: either).
_ASKED = {
    "unlabeled": (("unlabeled", "rejected"), None), "labeled": (LABELED, None), "unreviewed": (("unreviewed",), None),
    "approved": (("approved", "human"), None), "rejected": (("rejected",), None), "human": (("human",), None),
    "scored": (LABELED, True), "unscored": (LABELED, False),
}
# What filters ask about, by the names of what can be sorted by, where these differ.
_COLUMN = {"labels": "label_state", "states": "state", "min_density": "density", "max_density": "density",
           "min_activation": "max_activation", "score_above": "score", "score_below": "score"}


@dataclass(frozen=True)
class FeatureFilter:
    """Which features are wanted; an unset field does not filter. ``text`` is words of label or explanation, each of
    which may be the beginning of one (PostgreSQL: a substring).

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


def matching(query, extraction_id: int, wanted: FeatureFilter, *also: str, every: bool = False, share: int = 1):
    """A query over features, limited to those that match.

    Args:
        also: what else it reads or sorts by, by the names of what can be sorted by.
        every: all that match are read, not the first in some order.
        share: of so many features, only one (``tables.one_in``).

    Raises:
        StoreError: there is no such label state.
    """
    # Every order has an index of its own, with the feature's index in it. Of two values ``ix_feature_filter`` has both,
    # but SQLite does not know how values are spread and would rather go by a range and read half of the table.
    several = len({_COLUMN.get(name, name) for name in wanted.as_dict()} | {*also} - {"index"}) > 1
    score, *ranged = (_without_index(column) if several else column
                      for column in (col(Feature.score), col(Feature.density), col(Feature.max_activation)))
    # Of a text, all features that have it are known, and looked up one by one; an order's index has the others too.
    of = _without_index(col(Feature.extraction_id)) if every and wanted.text else col(Feature.extraction_id)
    query = query.where(of == extraction_id)
    if wanted.labels:
        query = query.where(_label_state(wanted.labels))
    if wanted.states:
        query = query.where(col(Feature.state).in_(wanted.states))
    if wanted.text:
        query = query.where(_Says(wanted.text, share))
    # Databases take the index of the sample only where its own condition is among the others.
    for number in {share, min(share, SAMPLED)} - {1}:
        query = query.where(text(one_in(number, "feature.id")))
    for column, value in ((Feature.kind, wanted.kind), (Feature.origin, wanted.origin),
                          (Feature.provider, wanted.provider)):
        if value:
            query = query.where(column == value)
    for column, least, most in zip(ranged, (wanted.min_density, wanted.min_activation),
                                   (wanted.max_density, wanted.max_activation), strict=True):
        if least is not None:
            query = query.where(column >= least)
        if most is not None:
            query = query.where(column <= most)
    if wanted.score_above is not None:
        query = query.where(score >= wanted.score_above)
    if wanted.score_below is not None:
        query = query.where(score < wanted.score_below)
    if wanted.starred:
        query = query.where(col(Feature.starred).is_(True))
    if wanted.indices:
        query = query.where(col(Feature.index).in_(wanted.indices))
    return query


def _without_index(column) -> ColumnElement:
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def words_alone(said: str) -> str | None:
    """A text's words in the language of SQLite's ``label_fts``; None of one that these do not settle."""
    says = _Says(said)
    return says.match if says.words and not says.symbols else None


def label_states(asked: str | None) -> tuple[tuple[str, ...], bool | None]:
    """What a label state that people ask for means: ``Feature.label_state`` values (none: any), and whether there must
    be a score (None: either).

    Raises:
        StoreError: there is no such label state.
    """
    if not asked:
        return (), None
    if asked not in _ASKED:
        raise StoreError(f"{asked!r} is not a label state.", f"Use one of: {', '.join(_ASKED)}.")
    return _ASKED[asked]


def _label_state(asked: str) -> ColumnElement[bool]:
    states, scored = label_states(asked)
    right = col(Feature.label_state).in_(states)
    if scored is None:
        return right
    return right & (col(Feature.score).is_not(None) if scored else col(Feature.score).is_(None))


class _Says(ColumnElement):
    """Whether a feature's label or explanation has these words, or, of text without a word, this text."""

    inherit_cache = False
    type = NullType()  # of a Boolean, SQLite would be asked whether it equals 1, and then finds no index for it

    def __init__(self, said: str, share: int = 1):
        self.said = said
        self.share = share
        # A word stands for all words that begin with it; a single letter only for itself.
        self.words = [f'"{word}"' + ("*" if len(word) > 1 else "") for word in re.findall(r"[^\W_]+", said)]
        self.symbols = re.search(r"[^\w\s]|_", said) is not None

    @property
    def match(self) -> str:
        return f"{{label explanation}} : ({' AND '.join(self.words)})"


@compiles(_Says)
def _substring(says: _Says, compiler, **options) -> str:
    named = aliased(Label)
    pattern = f"%{like(says.said)}%"
    held = or_(col(named.text).ilike(pattern, escape="\\"), col(named.explanation).ilike(pattern, escape="\\"))
    found = select(named.id).where(named.id == Feature.label_id, held).correlate(Feature)
    return compiler.process(found.exists(), **options)


@compiles(_Says, "sqlite")
def _full_text(says: _Says, compiler, **options) -> str:
    exact = _substring(says, compiler, **options) if says.symbols else ""
    if not says.words:
        return exact
    match = bindparam(None, says.match, unique=True)
    some = f" AND {one_in(says.share, 'rowid')}" if says.share > 1 else ""
    found = ("feature.id IN (SELECT rowid FROM label_fts WHERE label_fts MATCH "
             f"{compiler.process(match, **options)}{some})")
    return f"({found} AND {exact})" if exact else found


def like(literal: str) -> str:
    """Text for a LIKE pattern with ``\\`` as its escape, in which it stands for itself."""
    return literal.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def order(sort: Sort, *, descending: bool = False, backwards: bool = False) -> tuple[ColumnElement, ...]:
    """What to order by: features without a value come last either way, those of the same value in order of index.

    Args:
        backwards: all of this from its end.
    """
    columns = (col(Feature.index),) if sort == "index" else (_COLUMNS[sort], col(Feature.index))
    first, *ties = (column.desc() if descending != backwards else column.asc() for column in columns)
    # Only where there can be none: with it on both, no index gives the order.
    return first.nulls_first() if backwards else first.nulls_last(), *ties


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
    if sort == "need":  # SQLite begins at a pair of values only where both are columns
        others = [(column <= value if descending == after else column >= value) & others[0]]
    return [*others, column.is_(None)] if after else others
