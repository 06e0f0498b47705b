"""A feature has its current label's score, whatever comes first, and is found by it."""

import pytest

from mistudio.store import Label, Score, session
from mistudio.store.features import FeatureFilter, count_features, get_feature, list_features
from mistudio.store.labels import add_label, edit_label, judge_label, point_to
from mistudio.store.scores import add_score


def measured(work, label, value, method="detection", split="test"):
    add_score(work, Score(label_id=label.id, method=method, judge="judge", split=split, value=value, n=40), label)


def name(work, extraction_id, index, value=None):
    label = Label(feature_id=get_feature(work, extraction_id, index)[0].id, text=f"label of {index}", origin="llm")
    add_label(work, label)
    if value is not None:
        measured(work, label, value)
    return label


def score_of(engine, extraction_id, index):
    with session(engine) as work:
        return get_feature(work, extraction_id, index)[0].score


@pytest.mark.parametrize(("wanted", "expected"), [
    ({"score_below": 0.7}, [1, 4]), ({"score_above": 0.7}, [2, 3]), ({"score_above": 0.5, "score_below": 0.7}, [1]),
    ({"labels": "labeled", "score_below": 0.7}, [1]), ({"labels": "scored"}, [1, 2, 3]), ({"labels": "unscored"}, [5])])
def test_features_are_found_by_the_score_of_their_label(engine, toy, wanted, expected):
    with session(engine) as work:
        for index, value in ((1, 0.5), (2, 0.7), (3, 0.9), (5, None)):
            name(work, toy, index, value)
        judge_label(work, name(work, toy, 4, 0.4).id, "rejected", author="ann")
        assert count_features(work, toy, FeatureFilter(**wanted)) == len(expected)
        found = list_features(work, toy, FeatureFilter(**wanted))
        assert [feature.index for feature, _label in found] == expected
        best = list_features(work, toy, sort="score", descending=True, limit=5)
        assert [feature.score for feature, _label in best] == [0.9, 0.7, 0.5, 0.4, None]


def test_the_score_is_that_of_the_label_that_is_current(engine, toy):
    with session(engine) as work:
        first = name(work, toy, 3, 0.6)
        second = edit_label(work, first.feature_id, "mine", author="ann")
    assert score_of(engine, toy, 3) is None, "nobody has measured this label"
    with session(engine) as work:
        measured(work, work.get_one(Label, first.id), 0.65)
    assert score_of(engine, toy, 3) is None
    with session(engine) as work:
        measured(work, work.get_one(Label, second.id), 0.8)
    assert score_of(engine, toy, 3) == 0.8
    with session(engine) as work:
        point_to(work, first.feature_id, first.id)
    assert score_of(engine, toy, 3) == 0.65
    with session(engine) as work:
        point_to(work, first.feature_id, None)
    assert score_of(engine, toy, 3) is None


def test_only_the_headline_on_the_test_split_counts(engine, toy):
    with session(engine) as work:
        label = name(work, toy, 3)
        measured(work, label, 0.9, split="select")
        measured(work, label, 0.8, method="embedding")
        measured(work, label, 0.7)
        measured(work, label, 0.6, method="embedding")
    assert score_of(engine, toy, 3) == 0.7
