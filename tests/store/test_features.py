"""Features are filtered, sorted and paged in SQL."""

import pytest

from mistudio.errors import StoreError
from mistudio.store import session
from mistudio.store.extractions import coverage, delete_extraction, get_extraction, list_extractions
from mistudio.store.features import (
    FeatureFilter,
    annotate,
    count_features,
    feature_ids,
    get_feature,
    list_features,
    points,
)
from mistudio.store.labels import edit_label
from tests.toy import add_toy_extraction


def indices(engine, toy, limit=50, offset=0, sort="index", descending=False, **wanted):
    with session(engine) as work:
        found = list_features(work, toy, FeatureFilter(**wanted), sort=sort, descending=descending, limit=limit,
                              offset=offset)
        return [feature.index for feature, _label in found]


def test_pages_join_to_the_whole_in_order(engine, toy):
    pages = [index for offset in range(0, 12, 5) for index in indices(engine, toy, limit=5, offset=offset)]
    assert pages == list(range(12))


@pytest.mark.parametrize(("wanted", "expected"), [
    ({"states": ("dead",)}, [11]), ({"indices": (3, 1)}, [1, 3]), ({"min_density": 0.0105}, [10]),
    ({"max_density": 0.0015, "states": ("live",)}, [0]), ({"min_activation": 20}, [10]),
    ({"labels": "labeled"}, [2, 7]), ({"labels": "human", "text": "100%"}, [7]), ({"text": "_"}, []),
    ({"starred": True}, [4])])
def test_each_filter_keeps_what_it_says(engine, toy, wanted, expected):
    with session(engine) as work:
        for index, text in ((2, "closing brackets"), (7, "100% sure")):
            edit_label(work, get_feature(work, toy, index)[0].id, text, author="ann")
        annotate(work, get_feature(work, toy, 4)[0].id, starred=True, note="look again")
        assert count_features(work, toy, FeatureFilter(**wanted)) == len(expected)
    assert indices(engine, toy, **wanted) == expected


def test_features_without_a_value_sort_last_in_both_directions(engine, toy):
    with session(engine) as work:
        for index, text in ((5, "beta"), (6, "Alpha")):
            edit_label(work, get_feature(work, toy, index)[0].id, text, author="ann")
    assert indices(engine, toy, sort="label", limit=2) == [6, 5]
    assert indices(engine, toy, sort="label", descending=True, limit=2) == [5, 6]
    assert indices(engine, toy, sort="max_activation", descending=True, limit=1) == [10]


def test_unknown_features_filters_and_extractions_are_messages(engine, toy):
    with session(engine) as work:
        with pytest.raises(StoreError, match="no feature 99"):
            get_feature(work, toy, 99)
        with pytest.raises(StoreError, match="not a label state"):
            count_features(work, toy, FeatureFilter(labels="odd"))
        with pytest.raises(StoreError, match="no extraction 99"):
            get_extraction(work, 99)


def test_coverage_and_points_count_every_feature(engine, toy):
    with session(engine) as work:
        edit_label(work, feature_ids(work, toy)[0], "mine", author="ann")
        found = coverage(work, toy)
        assert (found.features, found.labelable, found.labeled, found.human) == (12, 11, 1, 1)
        assert [point[0] for point in points(work, toy)] == list(range(12))


def test_deleting_an_extraction_takes_only_its_own(engine, toy):
    other = add_toy_extraction(engine)
    with session(engine) as work:
        edit_label(work, feature_ids(work, toy)[0], "mine", author="ann")
        delete_extraction(work, toy)
    with session(engine) as work:
        assert [extraction.id for extraction in list_extractions(work)] == [other]
        assert get_extraction(work).id == other
        assert count_features(work, toy) == 0
        assert count_features(work, other) == 12
