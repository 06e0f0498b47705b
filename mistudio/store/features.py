"""Features: filter, sort and page in SQL."""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sqlalchemy import bindparam, func, insert, true
from sqlmodel import Session, col, select

from mistudio.access import visitor
from mistudio.errors import StoreError
from mistudio.store.counts import known_count
from mistudio.store.filtering import LABELED, FeatureFilter, Sort, beside, matching, order, place
from mistudio.store.tables import SAMPLED, Extraction, Feature, FeatureExamples, Label

# Prepared once, for all features of a run: to build statements anew takes longer than to run them.
_READ = (select(Feature, Label, Extraction, FeatureExamples).join(Extraction)
         .join(Label, col(Feature.label_id) == Label.id, isouter=True)
         .join(FeatureExamples, col(FeatureExamples.feature_id) == Feature.id, isouter=True)
         .where(col(Feature.id).in_(bindparam("of_features", expanding=True))))
ALL = FeatureFilter()
NEAR, BESIDE = 5000, 1000
# More features than this are too many to read for a chart.
MOST_CHARTED = 10_000
# Up to so many features, all are looked at to draw those that match.
SCANNED = 131_072
LONGEST_NOTE = 10_000  # characters
TINY = 1e-30  # less than any density or activation of a feature that fired


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


def count_features(work: Session, extraction_id: int, wanted: FeatureFilter = ALL) -> int:
    """How many features match."""
    known = known_count(work, extraction_id, wanted)
    if known is not None:
        return known
    return work.exec(matching(select(func.count()).select_from(Feature), extraction_id, wanted, every=True)).one()


def list_features(work: Session, extraction_id: int, wanted: FeatureFilter = ALL, *, sort: Sort = "index",
                  descending: bool = False, limit: int | None = 50,
                  offset: int = 0) -> list[tuple[Feature, Label | None]]:
    """One page of matching features, each with its current label. Features without a value sort last."""
    found = (matching(select(Feature.id), extraction_id, wanted) if limit is None else
             _page(work, extraction_id, wanted, sort, descending, limit, offset))
    query = (select(Feature, Label).join(Label, col(Feature.label_id) == Label.id, isouter=True)
             .where(col(Feature.id).in_(found)).order_by(*order(sort, descending=descending)))
    return list(work.exec(query if limit is not None else query.offset(offset)))


def _page(work: Session, extraction_id: int, wanted: FeatureFilter, sort: Sort, descending: bool, limit: int,
          offset: int) -> list[int]:
    """Ids of a page's features. Rows that are only passed over are never read."""
    by = order(sort, descending=descending)
    total = known_count(work, extraction_id, wanted)
    if total is not None and offset > total // 2:
        limit = max(0, min(limit, total - offset))
        offset, by = max(0, total - offset - limit), order(sort, descending=descending, backwards=True)
    found = matching(select(Feature.id), extraction_id, wanted, sort).order_by(*by).limit(limit).offset(offset)
    if wanted == ALL:
        return list(work.exec(found))
    if offset + limit <= NEAR:
        # Mostly the first few thousand of all features hold enough that match.
        first = matching(select(Feature.id), extraction_id, ALL).order_by(*by).limit(NEAR).subquery()
        near = list(work.exec(found.join(first, first.c.id == Feature.id)))
        if len(near) == limit:
            return near
    found = _among(select(Feature.id), extraction_id, wanted).order_by(*by).limit(limit).offset(offset)
    return list(work.exec(found))


def _among(query, extraction_id: int, wanted: FeatureFilter):
    """A query over those that match, who are found first: where they are few or lie together, an order's index would be
    followed from feature to feature that are none."""
    ids = matching(select(Feature.id), extraction_id, wanted, every=True).correlate(None)
    return query.where(Feature.extraction_id == extraction_id, col(Feature.id).in_(ids))


def feature_ids(work: Session, extraction_id: int, wanted: FeatureFilter = ALL) -> list[int]:
    """Database ids of matching features, in order of index."""
    return list(work.exec(matching(select(Feature.id), extraction_id, wanted).order_by(col(Feature.index))))


def neighbours(work: Session, extraction_id: int, wanted: FeatureFilter, index: int, sort: Sort = "index", *,
               descending: bool = False, but: Collection[int] = ()) -> tuple[int | None, int | None]:
    """Around a feature, among matching ones in an order: indices of the one before and the one after. Of an index that
    the extraction does not have, such as -1: the first one is after it.

    Args:
        but: indices that are passed over.
    """
    here = work.exec(select(place(sort)).where(Feature.extraction_id == extraction_id, Feature.index == index)).all()
    before = beside(sort, here[0], index, descending=descending, after=False) if here else []
    after = beside(sort, here[0], index, descending=descending, after=True) if here else [true()]
    others = col(Feature.index).not_in({index, *but})
    return tuple(_first(work, extraction_id, wanted, [others & each for each in conditions],
                        order(sort, descending=descends))
                 for conditions, descends in ((before, not descending), (after, descending)))


def _first(work: Session, extraction_id: int, wanted: FeatureFilter, conditions: list, by: tuple) -> int | None:
    """The index of the first that matches, in an order, and meets a condition; the first condition that one meets."""
    for condition in conditions:
        beside = (matching(select(Feature.id), extraction_id, ALL).where(condition).order_by(*by).limit(BESIDE)
                  .subquery())
        near = matching(select(Feature.index), extraction_id, wanted).join(beside, beside.c.id == Feature.id)
        found = work.exec(near.order_by(*by).limit(1)).first()
        # Only where there are more than were looked at can one still match.
        if found is None and work.exec(select(func.count()).select_from(beside)).one() == BESIDE:
            every = _among(select(Feature.index), extraction_id, wanted).where(condition)
            found = work.exec(every.order_by(*by).limit(1)).first()
        if found is not None:
            return found
    return None


def points(work: Session, extraction_id: int, wanted: FeatureFilter = ALL) -> list[tuple]:
    """``(index, density, max_activation, state, label text or None)`` of matching features, for charts."""
    query = (select(Feature.index, Feature.density, Feature.max_activation, Feature.state, Label.text)
             .join(Label, col(Feature.label_id) == Label.id, isouter=True))
    query = matching(query, extraction_id, wanted, every=True)
    return [tuple(row) for row in work.exec(query.order_by(col(Feature.index)))]


class DensityGrid(NamedTuple):
    """How many features lie where: ``density`` and ``maximum`` are the edges of bins (float64 ``[bins + 1]``, even on a
    logarithmic scale), ``counts`` and ``labeled`` (int64 ``[bins, bins]``, density first) count all features in each
    and those with a label. Features that never fired are in none. ``one_in`` says of how many features one was read
    and counted as that many: 1 where all were.
    """

    density: np.ndarray
    maximum: np.ndarray
    counts: np.ndarray
    labeled: np.ndarray
    one_in: int


def density_grid(work: Session, extraction_id: int, wanted: FeatureFilter = ALL, bins: int = 40,
                 counted: int | None = None) -> DensityGrid | None:
    """Matching features by density and maximum; None where none of them ever fired.

    Args:
        counted: how many match, where that is known.
    """
    one_in = 1 + (count_features(work, extraction_id, wanted) if counted is None else counted) // MOST_CHARTED
    if known_count(work, extraction_id, ALL) > SCANNED:
        # To find all that match takes as long as to read all there are: what the sample has of them is enough.
        one_in = max(one_in, SAMPLED)
    fired = replace(wanted, min_density=wanted.min_density or TINY, min_activation=wanted.min_activation or TINY)
    query = matching(select(Feature.density, Feature.max_activation, col(Feature.label_state).in_(LABELED)),
                     extraction_id, fired, "label_state", every=True, share=one_in)
    rows = work.exec(query).all()
    if not rows:
        return None
    density, maximum, labeled = (np.array(column) for column in zip(*rows, strict=True))
    edges = [_edges(density, bins), _edges(maximum, bins)]
    return DensityGrid(*edges, *(one_in * np.histogram2d(density[kept], maximum[kept], edges)[0].astype(np.int64)
                                 for kept in (slice(None), labeled)), one_in)


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    low, high = values.min(), values.max()
    # A little apart from the outermost values, so that rounding leaves none of them outside.
    return np.geomspace(low * 0.999, high * 1.001, bins + 1)


def get_feature(work: Session, extraction_id: int, index: int) -> tuple[Feature, Label | None]:
    """A feature and its current label.

    Raises:
        StoreError: the extraction has no such feature.
    """
    found = work.exec(select(Feature, Label).join(Label, col(Feature.label_id) == Label.id, isouter=True)
                      .where(Feature.extraction_id == extraction_id, Feature.index == index)).one_or_none()
    if found is None:
        raise StoreError(f"Extraction {extraction_id} has no feature {index}.", "Check the index against d_sae.")
    return found


class Read(NamedTuple):
    """A feature with all that is shown of it to a labeler; ``label`` is its current one."""

    feature: Feature
    label: Label | None
    extraction: Extraction
    examples: FeatureExamples | None


def read_features(work: Session, feature_ids: Collection[int]) -> dict[int, Read]:
    """Features by id, all in one statement. While the result is kept, the session finds each row without another."""
    return {row[0].id: Read(*row) for row in work.exec(_READ, params={"of_features": list(feature_ids)})}


def annotate(work: Session, feature_id: int, *, starred: bool | None = None, note: str | None = None,
             seen: bool | None = None) -> None:
    """Star a feature, write a note on it, or remember that a person has seen it.

    Raises:
        StoreError: the note is too long.
    """
    if note is not None and len(note) > LONGEST_NOTE:
        raise StoreError(f"A note of {len(note):,} characters is too long.", f"Write at most {LONGEST_NOTE:,}.")
    feature = work.get_one(Feature, feature_id)
    if starred is not None:
        feature.starred = starred
    if note is not None:
        feature.note, feature.noted_by = note, visitor().name
    if seen is not None:
        feature.seen = seen
    work.add(feature)
