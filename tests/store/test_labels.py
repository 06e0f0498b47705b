"""Labels are only added; a person's word outranks a run's; undo points back."""

import pytest

from mistudio.errors import StoreError
from mistudio.store import Label, session
from mistudio.store.extractions import coverage
from mistudio.store.features import FeatureFilter, feature_ids, get_feature
from mistudio.store.labels import add_label, current_label, edit_label, history, judge_label, point_to


@pytest.fixture
def feature_id(engine, toy):
    with session(engine) as work:
        return get_feature(work, toy, 3)[0].id


def by_llm(feature_id, text="court words"):
    return Label(feature_id=feature_id, text=text, origin="llm")


def test_the_newest_label_is_current_and_the_older_ones_stay(engine, feature_id):
    with session(engine) as work:
        assert add_label(work, by_llm(feature_id, "first"))
        assert add_label(work, by_llm(feature_id, " second "))
        assert current_label(work, feature_id).text == "second"
        assert [label.text for label in history(work, feature_id)] == ["second", "first"]


@pytest.mark.parametrize("by_hand", ["edited", "approved"])
def test_a_run_does_not_replace_what_a_person_wrote_or_approved(engine, feature_id, by_hand):
    with session(engine) as work:
        if by_hand == "edited":
            edit_label(work, feature_id, "mine", author="ann")
        else:
            label = by_llm(feature_id, "mine")
            add_label(work, label)
            judge_label(work, label.id, "approved", author="ann")
        assert not add_label(work, by_llm(feature_id))
        assert current_label(work, feature_id).text == "mine"
        assert add_label(work, by_llm(feature_id), replace_protected=True)


def test_a_rejected_label_counts_as_none(engine, toy, feature_id):
    with session(engine) as work:
        label = by_llm(feature_id)
        add_label(work, label)
        judge_label(work, label.id, "rejected", author="ann")
        assert coverage(work, toy).labeled == 0
        assert feature_id in feature_ids(work, toy, FeatureFilter(labels="unlabeled"))
        assert add_label(work, by_llm(feature_id, "better"))
        assert coverage(work, toy).labeled == 1


def test_undo_points_back_and_only_to_the_features_own_labels(engine, toy, feature_id):
    with session(engine) as work:
        first = by_llm(feature_id, "first")
        add_label(work, first)
        edit_label(work, feature_id, "second", author="ann")
        point_to(work, feature_id, first.id)
        assert current_label(work, feature_id).text == "first"
        point_to(work, feature_id, None)
        assert current_label(work, feature_id) is None
        with pytest.raises(StoreError, match="does not belong"):
            point_to(work, get_feature(work, toy, 4)[0].id, first.id)


def test_an_empty_label_and_an_unknown_verdict_are_refused(engine, feature_id):
    with session(engine) as work, pytest.raises(StoreError, match="empty"):
        add_label(work, by_llm(feature_id, "  "))
    with session(engine) as work:
        label = by_llm(feature_id)
        add_label(work, label)
        with pytest.raises(StoreError, match="verdict"):
            judge_label(work, label.id, "great", author="ann")
