"""Silent windows are known to be silent, half of the hard ones hold the feature's tokens, half are near in text."""

import numpy as np
import pytest

from mistudio.label.material import Material
from mistudio.label.negatives import silent, silent_windows
from mistudio.store.examples import SPLITS, Examples, Reference

WIDTH = 6
LAW = ["court", "judge", "ruled", "appeal", "statute", "plaintiff", "defendant", "lawyer", "jury", "verdict"]
FOOD = ["soup", "bread", "butter", "salt", "pepper", "onion", "garlic", "cheese", "oven", "kitchen"]
PLAIN = ["the", "of", "and", "to", "in", "it", "was", "with", "by", "on"]
VOCABULARY = [f" {word}" for word in [*LAW, *FOOD, *PLAIN]]
LAWFUL, COOKING, TOKEN = 20, 20, 8


@pytest.fixture(scope="module")
def material():
    """For each split: windows of law, windows of food, and some of plain words with " court" in them; feature 3 is
    active in every second one of law."""
    random = np.random.default_rng(0)
    references = []
    for split in range(len(SPLITS)):
        for number in range(LAWFUL + COOKING + TOKEN):
            first = 1 if number < LAWFUL else 10 if number < LAWFUL + COOKING else 20
            tokens = random.choice(np.arange(first, first + (9 if first == 1 else 10)), WIDTH).astype(np.int32)
            if number >= LAWFUL + COOKING:
                tokens[2] = 0
            active = int(number < LAWFUL and number % 2)
            references.append(Reference(tokens, split, number, np.full(active, 3),
                                        np.zeros(active, int),
                                            np.ones(active)))
    return Material(VOCABULARY, references)


@pytest.fixture
def shown():
    """Windows about the law with their peaks on " court"."""
    tokens = np.array([[1, 2, 0, 4, 5, 6], [7, 3, 0, 8, 9, 5]], dtype=np.int32)
    return Examples(tokens, np.ones_like(tokens, dtype=np.float16), np.array([2, 2]), np.arange(2),
                    np.arange(2, dtype=np.uint64), np.zeros(2, int), np.zeros(2, int))


def sort(number):
    place = number % (LAWFUL + COOKING + TOKEN)
    return "law" if place < LAWFUL else "food" if place < LAWFUL + COOKING else "token"


@pytest.mark.parametrize("split", SPLITS)
def test_only_windows_of_the_split_where_the_feature_is_silent(material, shown, split):
    every = silent(material, 3, split)
    assert len(every) == LAWFUL // 2 + COOKING + TOKEN
    assert not any(material.references[number].active(3) for number in every)
    chosen = silent_windows(material, 3, shown, 100, np.random.default_rng(0), split)
    assert sorted(chosen) == sorted(every.tolist()), "all there are, each once"


def test_half_hold_its_tokens_and_half_are_near_in_text(material, shown):
    chosen = silent_windows(material, 3, shown, 10, np.random.default_rng(0), "test")
    assert [sort(number) for number in chosen] == ["token"] * 5 + ["law"] * 5


def test_some_may_be_taken_at_random(material, shown):
    kinds = [sort(number)
             for seed in range(20)
             for number in silent_windows(material, 3, shown, 8, np.random.default_rng(seed), "test", hard=4)[4:]]
    assert kinds.count("food") > len(kinds) / 3


def test_the_same_seed_chooses_the_same(material, shown):
    first = silent_windows(material, 3, shown, 8, np.random.default_rng(5), "explain")
    assert silent_windows(material, 3, shown, 8, np.random.default_rng(5), "explain") == first


def test_windows_to_avoid_come_only_when_all_others_are_taken(material, shown):
    every = set(silent(material, 3, "explain").tolist())
    first = silent_windows(material, 3, shown, 20, np.random.default_rng(0), "explain")
    second = silent_windows(material, 3, shown, 20, np.random.default_rng(0), "explain", avoid=set(first))
    assert set(second[:len(every) - 20]) == every - set(first)
    assert len(set(second)) == 20


def test_texts_that_mean_nearly_the_same_count_once():
    tokens = np.array([1, 2, 3, 4, 5, 6], dtype=np.int32)
    none = np.zeros(0, np.uint32)
    copies = Material(VOCABULARY, [Reference(tokens, 0, number, none, none, none) for number in range(5)])
    assert len(copies.vectors("explain")[0]) == 1
