"""Labels of two extractions, or of two runs on one, side by side."""

import numpy as np
import pytest

from mistudio.store import Label, RunItem, session
from mistudio.store.comparison import Side, pairs, totals
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, judge_label
from mistudio.store.runs import create_run
from mistudio.store.tables import LabelVector
from tests.toy import add_toy_extraction


def name(engine, extraction, index, text, score=None, **columns):
    with session(engine) as work:
        feature, _label = get_feature(work, extraction, index)
        label = Label(feature_id=feature.id, text=text, origin="llm", score=score, **columns)
        add_label(work, label)
        return label.id


def texts(engine, first, second, which="any", **page):
    with session(engine) as work:
        return [(pair.index, pair.first and pair.first.text, pair.second and pair.second.text)
                for pair in pairs(work, first, second, which, **page)]


@pytest.fixture
def two(engine, toy):
    """Two extractions: feature 0 is called the same, 1 differently, 2 and 3 have a label on one side alone."""
    other = add_toy_extraction(engine)
    for extraction, labels in ((toy, {0: "Digits", 1: "keywords", 2: "brackets"}),
                               (other, {0: "digits", 1: "Python words", 3: "law"})):
        for index, text in labels.items():
            name(engine, extraction, index, text, score=0.5 + extraction / 10)
    return Side(toy), Side(other)


def test_each_condition_finds_its_features(engine, two):
    assert texts(engine, *two, "differ") == [(1, "keywords", "Python words")]
    assert texts(engine, *two, "same") == [(0, "Digits", "digits")]
    assert texts(engine, *two, "first") == [(2, "brackets", None)]
    assert texts(engine, *two, "second") == [(3, None, "law")]
    assert texts(engine, *two) == (texts(engine, *two, limit=2) + texts(engine, *two, limit=2, offset=2))


def test_totals_count_them_and_compare_scores_where_both_have_one(engine, two):
    with session(engine) as work:
        found = totals(work, *two)
    assert found[:5] == (2, 1, 1, 1, 2)
    assert found.first_score == pytest.approx(0.6) and found.second_score == pytest.approx(0.7)


def test_a_rejected_label_is_none(engine, two):
    label_id = name(engine, two[0].extraction_id, 4, "nonsense")
    with session(engine) as work:
        judge_label(work, label_id, "rejected", author="ann")
    assert 4 not in [row[0] for row in texts(engine, *two)]


def test_a_run_has_the_labels_it_chose_also_when_others_are_current_now(engine, toy):
    runs = []
    for words in (("old a", "old b"), ("new a",)):
        with session(engine) as work:
            items = [{"feature_id": get_feature(work, toy, index)[0].id, "state": "done", "reason_kind": "",
                      "reason": ""} for index in range(len(words))]
            run_id = create_run(work, toy, {}, items).id
        runs.append(run_id)
        for index, text in enumerate(words):
            chosen = name(engine, toy, index, text, run_id=run_id)
            with session(engine) as work:
                feature, _label = get_feature(work, toy, index)
                add_label(work, Label(feature_id=feature.id, text="a candidate", origin="llm", run_id=run_id),
                          current=False)
                work.get_one(RunItem, (run_id, feature.id)).label_id = chosen
    old, new = (Side(toy, (run_id,)) for run_id in runs)
    assert texts(engine, old, new) == [(0, "old a", "new a"), (1, "old b", None)]
    assert texts(engine, old, Side(toy), "differ") == [(0, "old a", "new a")]
    assert texts(engine, Side(toy, tuple(runs)), Side(toy), "both") == [(0, "new a", "new a"), (1, "old b", "old b")]


def test_meanings_are_compared_where_both_vectors_are_stored(engine, toy):
    other = add_toy_extraction(engine)
    ids = [name(engine, extraction, index, f"label {extraction}") for index in (0, 1) for extraction in (toy, other)]
    with session(engine) as work:
        work.add_all(LabelVector(label_id=label_id, encoder="tests", vector=np.array(vector, np.float16).tobytes())
                     for label_id, vector in zip(ids, ([1, 0], [0.6, 0.8], [1, 0]), strict=False))
    with session(engine) as work:
        alike = [pair.alike for pair in pairs(work, Side(toy), Side(other), encoder="tests")]
        elsewhere = [pair.alike for pair in pairs(work, Side(toy), Side(other), encoder="another")]
    assert alike == [pytest.approx(0.6, abs=1e-3), None] and elsewhere == [None, None]
