"""How many features are in which state: counts that the database keeps itself, so that no page counts a million rows.

Triggers on the feature table keep them (migration 0008).
"""

from dataclasses import replace

from sqlmodel import Session, select

from mistudio.store.filtering import FeatureFilter, label_states
from mistudio.store.tables import FeatureCount


def state_counts(work: Session, extraction_id: int) -> list[FeatureCount]:
    """Counts of an extraction's features, one row a pair of states that occurs."""
    return list(work.exec(select(FeatureCount).where(FeatureCount.extraction_id == extraction_id)
                          .execution_options(populate_existing=True)))


def known_count(work: Session, extraction_id: int, wanted: FeatureFilter) -> int | None:
    """How many features match, when nothing but states is asked for; else None.

    Raises:
        StoreError: there is no such label state.
    """
    if replace(wanted, labels=None, states=()) != FeatureFilter():
        return None
    label, scored = label_states(wanted.labels)
    found = [row for row in state_counts(work, extraction_id)
             if (not label or row.label_state in label) and (not wanted.states or row.state in wanted.states)]
    every, measured = sum(row.features for row in found), sum(row.scored for row in found)
    return every if scored is None else measured if scored else every - measured
