"""Better is only what is better beyond chance, in every respect."""

import numpy as np
import pytest

from mistudio.distill.measure import Measured, compare
from mistudio.distill.verdict import interval, verdict

COUNT = 40


def measured(similarity, nearer=0, **scores):
    noise = np.random.default_rng(7).normal(0, 0.1, COUNT)
    return Measured(labels=["x"] * COUNT, similarity=list(similarity + noise), nearer=[nearer] * COUNT, shuffled=0.1,
                    scores={method: [value] * COUNT for method, value in scores.items()})


def test_a_clear_gain_is_better():
    found = verdict(measured(0.5, embedding=0.7), measured(0.6, embedding=0.7))
    assert found.better and found.low > 0 and found.difference == pytest.approx(0.1)
    assert "+0.10" in found.sentence and found.sentence.startswith("Better")


def test_a_gain_that_chance_may_explain_is_not():
    before, after = measured(0.5), measured(0.5)
    after.similarity = list(np.array(before.similarity) + np.random.default_rng(1).normal(0.01, 0.2, COUNT))
    found = verdict(before, after)
    assert not found.better and found.low < 0 < found.high and "chance" in found.sentence


@pytest.mark.parametrize(("before", "after", "why"), [
    (measured(0.6), measured(0.5), "similarity fell"),
    (measured(0.5), measured(0.6, nearer=1), "nearest less often"),
    (measured(0.5, nearer=4), measured(0.6, nearer=5), "among the five nearest less often"),
    (measured(0.5, embedding=0.8), measured(0.6, embedding=0.7), "by embedding"),
])
def test_what_is_worse_in_one_respect_is_not_better(before, after, why):
    found = verdict(before, after)
    assert not found.better and found.sentence.startswith("Not better") and why in found.sentence


def test_features_that_could_not_be_scored_count_for_neither():
    before, after = measured(0.5, embedding=0.7), measured(0.6, embedding=0.7)
    before.scores["embedding"][0], after.scores["embedding"][1] = None, None
    before.scores["detection"], after.scores["detection"] = [None] * COUNT, [None] * COUNT
    assert verdict(before, after).better
    assert after.summary().embedding == pytest.approx(0.7) and after.summary().detection is None


def test_the_interval_is_that_of_a_mean():
    differences = np.random.default_rng(3).normal(0.2, 1.0, 400)
    low, high = interval(differences)
    assert low == pytest.approx(differences.mean() - 1.96 / 20, abs=0.02)
    assert high == pytest.approx(differences.mean() + 1.96 / 20, abs=0.02)
    assert interval(differences) == (low, high)


def test_labels_are_compared_by_meaning():
    references = ["closing brackets", "names of kings", "dollar amounts", "Python functions"]
    found = compare(["right parentheses", None, "prices in dollars", "monarchs"], references)
    assert found.nearer[0] == 0 and found.nearer[2] == 0 and found.nearer[3] > 0
    assert found.nearer[1] == 4 and found.similarity[1] == 0, "no label is no match"
    summary = found.summary()
    assert (summary.top1, summary.top5, summary.failed) == (0.5, 0.75, 1)
    assert summary.shuffled < 0.3 < summary.similarity
    same = compare(references, references)
    assert same.summary().top1 == 1 and min(same.similarity) == pytest.approx(1, abs=1e-5)
    assert compare([None, None], references[:2]).summary().similarity == 0
