"""How many features are in which state: counts that the database keeps itself, so that no page counts a million rows.

Triggers on the feature table keep them (migration 0008).
"""

from dataclasses import replace

from sqlalchemy import func
from sqlmodel import Session, col, select, text

from mistudio.store.filtering import FeatureFilter, label_states, matching, words_alone
from mistudio.store.tables import Feature, FeatureCount


def state_counts(work: Session, extraction_id: int) -> list[FeatureCount]:
    """Counts of an extraction's features, one row a pair of states that occurs."""
    return list(work.exec(select(FeatureCount).where(FeatureCount.extraction_id == extraction_id)
                          .execution_options(populate_existing=True)))


def known_count(work: Session, extraction_id: int, wanted: FeatureFilter) -> int | None:
    """How many features match, when nothing but states, or but words, is asked for; else None.

    Raises:
        StoreError: there is no such label state.
    """
    if wanted == FeatureFilter(text=wanted.text) and (match := words_alone(wanted.text)):
        return _having_words(work, extraction_id, match)
    if not _asks_for_states(wanted):
        return None
    found = _kept(work, extraction_id, wanted)
    every, measured = sum(row.features for row in found), sum(row.scored for row in found)
    scored = label_states(wanted.labels)[1]
    return every if scored is None else measured if scored else every - measured


def count_states(work: Session, extraction_id: int, wanted: FeatureFilter) -> list[tuple[str, str, int]]:
    """``(state, label state, count)`` of matching features, for each pair that occurs."""
    if _asks_for_states(wanted) and label_states(wanted.labels)[1] is None:
        found = _kept(work, extraction_id, wanted)
        return [(row.state, row.label_state, row.features) for row in found if row.features]
    query = matching(select(Feature.state, Feature.label_state, func.count()), extraction_id, wanted, "state",
                     "label_state")
    return [tuple(row) for row in work.exec(query.group_by(col(Feature.state), col(Feature.label_state)))]


def mean_score(work: Session, extraction_id: int) -> tuple[float | None, int]:
    """Mean score of the current labels that have one (None without any), and how many these are."""
    rows = state_counts(work, extraction_id)
    scored = sum(row.scored for row in rows)
    return sum(row.score_sum for row in rows) / scored if scored else None, scored


def id_bounds(work: Session, extraction_id: int) -> tuple[int, int]:
    """Ids of the first and the last feature: they are stored in order. Asked for once a session."""
    asked = ("bounds", extraction_id)
    if asked not in work.info:
        ends = [work.exec(select(Feature.id).where(Feature.extraction_id == extraction_id).order_by(order).limit(1))
                .first() for order in (col(Feature.index), col(Feature.index).desc())]
        work.info[asked] = ends[0] or 0, ends[1] or 0
    return work.info[asked]


def _having_words(work: Session, extraction_id: int, match: str) -> int | None:
    """By SQLite's full-text index alone, where all ids between the bounds are this extraction's; else None."""
    first, last = id_bounds(work, extraction_id)
    alone = known_count(work, extraction_id, FeatureFilter()) == last - first + 1
    if not alone or work.get_bind().dialect.name != "sqlite":
        return None
    query = text("SELECT count(*) FROM label_fts WHERE label_fts MATCH :match AND rowid BETWEEN :first AND :last")
    return work.exec(query, params={"match": match, "first": first, "last": last}).scalar_one()


def _asks_for_states(wanted: FeatureFilter) -> bool:
    return replace(wanted, labels=None, states=()) == FeatureFilter()


def _kept(work: Session, extraction_id: int, wanted: FeatureFilter) -> list[FeatureCount]:
    label = label_states(wanted.labels)[0]
    return [row for row in state_counts(work, extraction_id)
            if (not label or row.label_state in label) and (not wanted.states or row.state in wanted.states)]
