"""A verdict on many labels reaches only those that nobody has judged, and can be taken back as one."""

import pytest

from mistudio.errors import StoreError
from mistudio.store import Label, Score, session
from mistudio.store.bulk import count_unjudged, judge_many, take_back, unjudged_examples
from mistudio.store.features import FeatureFilter, count_features, get_feature
from mistudio.store.labels import add_label, edit_label, judge_label, point_to
from mistudio.store.scores import add_score
from tests.toy import add_toy_extraction

GOOD = FeatureFilter(score_above=0.8)


@pytest.fixture
def labeled(engine, toy):
    """Features 0 to 7 have labels of a run with scores 0.6, 0.65 ...; 5 is approved, 6 rejected, 7 a person's."""
    with session(engine) as work:
        for index in range(8):
            feature, _label = get_feature(work, toy, index)
            label = Label(feature_id=feature.id, text=f"pattern {index}", origin="llm")
            add_label(work, label)
            add_score(work, Score(label_id=label.id, method="detection", judge="x", value=0.6 + 0.05 * index, n=40),
                      label)
        for index, verdict in ((5, "approved"), (6, "rejected")):
            judge_label(work, get_feature(work, toy, index)[1].id, verdict, author="ann")
        edit_label(work, get_feature(work, toy, 7)[0].id, "my own", author="ann")
    return toy


def verdicts(engine, extraction_id):
    """Each feature's state and what its label says itself."""
    with session(engine) as work:
        found = [get_feature(work, extraction_id, index) for index in range(8)]
    return [(feature.label_state, label.verdict, label.verdict_by) for feature, label in found]


def judged(engine, extraction_id, wanted, verdict):
    with session(engine) as work:
        return judge_many(work, extraction_id, wanted, verdict, author="bob")


def test_only_labels_that_nobody_judged_are_reached_and_they_come_back(engine, labeled):
    before = verdicts(engine, labeled)
    with session(engine) as work:
        assert count_unjudged(work, labeled, FeatureFilter()) == 5
    done = judged(engine, labeled, FeatureFilter(), "rejected")
    assert done.count == 5
    after = verdicts(engine, labeled)
    assert after[:5] == [("rejected", "rejected", "bob")] * 5
    assert after[5:] == before[5:], "a person's word stands"
    with session(engine) as work:
        assert count_features(work, labeled, FeatureFilter(labels="unreviewed")) == 0
        assert take_back(work, done) == 5
    assert verdicts(engine, labeled) == before


def test_a_score_bounds_what_is_reached(engine, labeled):
    with session(engine) as work:
        assert count_unjudged(work, labeled, GOOD) == 1
        assert [index for index, _text, _score in unjudged_examples(work, labeled, FeatureFilter(), limit=2)] == [0, 1]
    assert judged(engine, labeled, GOOD, "approved").count == 1
    assert [state for state, *_rest in verdicts(engine, labeled)[:5]] == ["unreviewed"] * 4 + ["approved"]


def test_labels_judged_since_keep_what_was_said_of_them(engine, labeled):
    done = judged(engine, labeled, FeatureFilter(), "approved")
    with session(engine) as work:
        judge_label(work, get_feature(work, labeled, 0)[1].id, "rejected", author="ann")
        edit_label(work, get_feature(work, labeled, 1)[0].id, "better", author="ann")
    with session(engine) as work:
        assert take_back(work, done) == 3
    after = verdicts(engine, labeled)
    assert after[0] == ("rejected", "rejected", "ann") and after[1][0] == "human"
    assert [state for state, *_rest in after[2:5]] == ["unreviewed"] * 3


def test_other_extractions_are_left_alone(engine, labeled):
    other = add_toy_extraction(engine)
    with session(engine) as work:
        feature, _label = get_feature(work, other, 0)
        add_label(work, Label(feature_id=feature.id, text="elsewhere", origin="llm"))
    done = judged(engine, labeled, FeatureFilter(), "approved")
    with session(engine) as work:
        assert get_feature(work, other, 0)[0].label_state == "unreviewed"
        take_back(work, done)
        assert get_feature(work, other, 0)[1].verdict == ""


def test_a_label_of_the_history_is_judged_by_nobody(engine, labeled):
    with session(engine) as work:
        feature, old = get_feature(work, labeled, 0)
        add_label(work, Label(feature_id=feature.id, text="newer", origin="llm"))
    judged(engine, labeled, FeatureFilter(), "approved")
    with session(engine) as work:
        assert work.get_one(Label, old.id).verdict == ""
        point_to(work, feature.id, old.id)
        assert get_feature(work, labeled, 0)[0].label_state == "unreviewed"


def test_a_verdict_must_be_one(engine, labeled):
    with session(engine) as work, pytest.raises(StoreError, match="not a verdict"):
        judge_many(work, labeled, FeatureFilter(), "fine", author="bob")
