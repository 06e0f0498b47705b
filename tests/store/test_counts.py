"""The database counts features by their states itself, whatever happens to them."""

from sqlalchemy import func
from sqlmodel import select

from mistudio.store import Feature, Label, Score, session
from mistudio.store.counts import state_counts
from mistudio.store.extractions import delete_extraction
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, edit_label, judge_label, point_to
from mistudio.store.scores import add_score
from tests.toy import add_toy_extraction


def counted(work, extraction_id):
    """What the database keeps, beside what is there."""
    kept = {(row.state, row.label_state): (row.features, row.scored, round(row.score_sum, 6))
            for row in state_counts(work, extraction_id) if row.features}
    rows = work.exec(select(Feature.state, Feature.label_state, func.count(), func.count(Feature.score),
                            func.coalesce(func.sum(Feature.score), 0)).where(Feature.extraction_id == extraction_id)
                     .group_by(Feature.state, Feature.label_state))
    return kept, {tuple(states): (count, scored, round(float(total), 6)) for *states, count, scored, total in rows}


def test_counts_are_kept_whatever_happens_to_labels(engine, toy):
    with session(engine) as work:
        made = [Label(feature_id=get_feature(work, toy, index)[0].id, text="name", origin="llm") for index in range(4)]
        for label, value in zip(made, (0.9, 0.6, 0.5, None), strict=True):
            add_label(work, label)
            if value is not None:
                add_score(work, Score(label_id=label.id, method="detection", judge="j", value=value, n=40), label)
        kept, there = counted(work, toy)
        assert kept == there and kept["live", "unreviewed"] == (4, 3, 2.0)
        judge_label(work, made[0].id, "rejected", author="ann")
        add_score(work, Score(label_id=made[0].id, method="detection", judge="j", value=0.2, n=40), made[0])
        edit_label(work, made[1].feature_id, "mine", author="ann")
        point_to(work, made[2].feature_id, None)
        kept, there = counted(work, toy)
        assert kept == there and kept["live", "rejected"] == (1, 1, 0.2)
    other = add_toy_extraction(engine)
    with session(engine) as work:
        delete_extraction(work, toy)
    with session(engine) as work:
        assert counted(work, toy) == ({}, {})
        assert counted(work, other) == ({("live", "unlabeled"): (11, 0, 0), ("dead", "unlabeled"): (1, 0, 0)},) * 2
