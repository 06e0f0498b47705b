"""Verdicts and rankings amount to what their definitions say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistudio.score.metrics import of_ranking, of_verdicts, recalls

SIDES = st.lists(st.tuples(st.booleans(), st.floats(0.1, 10)), min_size=2, max_size=40).map(
    lambda rows: [(True, rows[0][1]), (False, 0.0), *rows[2:]])


def columns(rows):
    right = np.array([row[0] for row in rows])
    return right, np.where(right, [row[1] for row in rows], 0.0)


@given(SIDES, st.data())
def test_verdicts_give_balanced_accuracy_precision_and_recall(rows, data):
    right, strength = columns(rows)
    said = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    found = of_verdicts(right, said, strength)
    tpr, tnr = said[right].mean(), (~said[~right]).mean()
    assert found.value == pytest.approx((tpr + tnr) / 2)
    assert found.recall == pytest.approx(tpr)
    assert found.weighted == pytest.approx((np.average(said[right], weights=strength[right]) + tnr) / 2)
    assert found.precision is None if not said.any() else found.precision == pytest.approx(right[said].mean())
    assert 0 <= found.low < found.high <= 1


def test_an_interval_stays_open_when_every_verdict_is_right_and_narrows_with_more():
    few, many = (of_verdicts(np.array([True, False] * n), np.array([True, False] * n), np.array([5.0, 0.0] * n))
                 for n in (5, 50))
    assert few.value == many.value == 1
    assert few.low < many.low < 1


@given(SIDES, st.data())
def test_a_ranking_gives_the_share_of_pairs_in_the_right_order(rows, data):
    right, strength = columns(rows)
    near = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))) / 5
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in near[right] for b in near[~right]]
    found = of_ranking(right, near, strength)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low <= found.value <= found.high
    assert found.precision is None and found.recall is None


def test_recall_is_told_by_decile_and_by_strength():
    right = np.array([True, True, True, False])
    said = np.array([False, True, True, True])
    found = recalls(right, said, np.array([1.0, 5.0, 9.0, 0.0]), np.array([0, 4, 9, -1]))
    assert found["strength"] == {"0-3": [0, 1], "3-6": [1, 1], "6-10": [1, 1]}
    assert found["decile"][0] == [0, 1] and found["decile"][4] == [1, 1] and found["decile"][9] == [1, 1]
    assert sum(every for _found, every in found["decile"]) == 3
