"""Features are filtered, sorted and paged in SQL."""

import pytest

from mistudio.errors import StoreError
from mistudio.store import Label, Score, session
from mistudio.store.extractions import coverage, delete_extraction, get_extraction, list_extractions
from mistudio.store.features import (
    FeatureFilter,
    add_features,
    annotate,
    count_features,
    density_grid,
    feature_ids,
    get_feature,
    list_features,
    neighbours,
    points,
)
from mistudio.store.filtering import SORTS
from mistudio.store.labels import add_label, edit_label, judge_label
from mistudio.store.scores import add_score
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
    ({"text": "closing brack"}, [2]), ({"text": "brackets of"}, []), ({"text": "100% su"}, [7]), ({"text": "%"}, [7]),
    ({"labels": "labeled", "states": ("live",), "min_density": 0.005}, [7]),
    ({"starred": True, "states": ("live",)}, [4]), ({"starred": True}, [4]),
    ({"origin": "human"}, [2, 7]), ({"min_activation": 12, "max_activation": 14}, [2, 3, 4])])
def test_each_filter_keeps_what_it_says(engine, toy, wanted, expected):
    with session(engine) as work:
        for index, text in ((2, "closing brackets"), (7, "100% sure")):
            edit_label(work, get_feature(work, toy, index)[0].id, text, author="ann")
        annotate(work, get_feature(work, toy, 4)[0].id, starred=True, note="look again")
        assert count_features(work, toy, FeatureFilter(**wanted)) == len(expected)
    assert indices(engine, toy, **wanted) == expected


def test_words_are_counted_in_one_extraction_alone(engine, toy):
    other = add_toy_extraction(engine)
    with session(engine) as work:
        late = get_feature(work, toy, 0)[0].model_dump(exclude={"id", "index"}) | {"index": 12}
        for feature_id in (*add_features(work, [late], [None]), feature_ids(work, toy)[3], feature_ids(work, other)[3]):
            edit_label(work, feature_id, "closing brackets", author="ann")
    with session(engine) as work:
        assert count_features(work, toy, FeatureFilter(text="closing")) == 2
        assert count_features(work, other, FeatureFilter(text="closing")) == 1


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


# Index: text, score by detection and by fuzzing, verdict.
LABELED = {1: ("Beta", 0.9, 0.8, ""), 2: ("alpha", 0.6, 0.9, ""), 3: ("gamma", None, None, "approved"),
           5: ("delta", 0.5, None, "rejected"), 8: ("beta", 0.6, 0.6, "")}


@pytest.fixture
def labeled(engine, toy):
    with session(engine) as work:
        for index, (text, detection, fuzzing, verdict) in LABELED.items():
            label = Label(feature_id=get_feature(work, toy, index)[0].id, text=text, origin="llm", provider="openai",
                          kind="code", confidence=index / 10)
            add_label(work, label)
            for method, value in (("detection", detection), ("fuzzing", fuzzing)):
                if value is not None:
                    add_score(work, Score(label_id=label.id, method=method, judge="j", value=value, n=40), label)
            if verdict:
                judge_label(work, label.id, verdict, author="ann")
    return toy


@pytest.mark.parametrize("descending", [False, True])
def test_a_walk_in_any_order_passes_every_feature_once_and_back(engine, labeled, descending):
    wanted = FeatureFilter(states=("live",))
    for sort in SORTS:
        pages = [index for offset in range(0, 12, 5) for index in indices(
            engine, labeled, limit=5, offset=offset, sort=sort, descending=descending, states=("live",))]
        assert sorted(pages) == list(range(11))
        with session(engine) as work:
            walked, after = [], neighbours(work, labeled, wanted, -1, sort, descending=descending)[1]
            while after is not None:
                before, following = neighbours(work, labeled, wanted, after, sort, descending=descending)
                assert before == (walked[-1] if walked else None), sort
                walked.append(after)
                after = following
        assert walked == pages, sort


def test_who_needs_a_person_first(engine, labeled):
    with session(engine) as work:
        order = indices(engine, labeled, sort="need", descending=True, labels="unreviewed")
        assert order == [2, 8, 1], "a low score and methods that disagree come first"
        annotate(work, get_feature(work, labeled, 2)[0].id, seen=True)
        _before, after = neighbours(work, labeled, FeatureFilter(labels="unreviewed"), 2, "need", descending=True)
        assert after == 8, "the walk goes on from where it was"
    assert indices(engine, labeled, sort="need", descending=True, labels="unreviewed") == [8, 2, 1]


def test_a_filter_by_the_label_follows_the_label(engine, labeled):
    assert indices(engine, labeled, provider="openai", kind="code") == [1, 2, 3, 5, 8]
    assert indices(engine, labeled, labels="approved") == [3]
    with session(engine) as work:
        feature, label = get_feature(work, labeled, 1)
        judge_label(work, label.id, "approved", author="ann")
        assert feature.label_state == "approved", "also where the session has read it before"
        edit_label(work, get_feature(work, labeled, 2)[0].id, "mine", author="ann")
    assert indices(engine, labeled, labels="approved") == [1, 2, 3]
    assert indices(engine, labeled, provider="openai") == [1, 3, 5, 8]
    assert indices(engine, labeled, labels="human") == [2]


@pytest.mark.parametrize("sort", ["index", "score", "label"])
def test_pages_from_the_end_are_the_same_pages(engine, labeled, sort):
    for descending in (False, True):
        for wanted in ({}, {"labels": "unlabeled"}):
            every = indices(engine, labeled, limit=None, sort=sort, descending=descending, **wanted)
            pages = [index for offset in range(0, 15, 3) for index in indices(
                engine, labeled, limit=3, offset=offset, sort=sort, descending=descending, **wanted)]
            assert pages == every


def test_the_grid_holds_every_feature_that_fired(engine, labeled):
    with session(engine) as work:
        grid = density_grid(work, labeled, bins=6)
        assert (grid.counts.sum(), grid.labeled.sum()) == (11, 4)
        assert grid.density[0] < 0.001 < 0.011 < grid.density[-1]
        assert grid.maximum[0] < 10 < 20 < grid.maximum[-1]
        sample = density_grid(work, labeled, bins=6, counted=20_000)
        assert sample.one_in == 3 and 0 < sample.counts.sum() < 33 and not (sample.counts % 3).any()
        assert density_grid(work, labeled, FeatureFilter(states=("dead",))) is None


def test_some_may_be_passed_over_on_the_way(engine, toy):
    with session(engine) as work:
        assert neighbours(work, toy, FeatureFilter(), 4, but=(3, 5, 6)) == (2, 7)
        assert neighbours(work, toy, FeatureFilter(), -1, "density", descending=True, but=(10,))[1] == 9


def test_a_sample_of_many_is_counted_as_all_of_them(engine):
    """The mean of a share of one in sixteen: four standard deviations of it are the most it may be off."""
    extraction = add_toy_extraction(engine)
    with session(engine) as work:
        feature = get_feature(work, extraction, 0)[0].model_dump(exclude={"id", "index"})
        add_features(work, [feature | {"index": index, "density": 1e-4 * (1 + index % 7)}
                            for index in range(12, 20_012)], [None] * 20_000)
    with session(engine) as work:
        wanted = FeatureFilter(min_density=4e-4, states=("live",))
        matched = count_features(work, extraction, wanted)
        grid = density_grid(work, extraction, wanted, bins=6, counted=160_000)
        assert grid.one_in == 17
        assert abs(grid.counts.sum() - matched) < 4 * 17 * (matched / 17) ** 0.5
