"""A bounded share of ``python -m benchmarks.fuzz``: nothing but our own errors, whatever is read."""

import pytest

from tests.hostile.targets import READERS, STORED, fuzz, readers, stored

CASES = {"reply": 1500, "batch line": 1000, "label file": 1000, "corpus file": 100, "SAE": 60, "label import": 40,
         "features import": 40, "Neuronpedia import": 20, "search box": 60, "address": 60}


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return readers(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", READERS)
def test_readers_raise_nothing_but_our_own_errors(reading, name):
    counts = fuzz(reading[name], CASES[name], 1)
    assert counts["read"] and counts.total() >= CASES[name] * 0.9, "some cases are whole, and all were tried"


def test_what_is_stored_or_asked_of_a_database_raises_nothing_but_our_own_errors(engine, toy, tmp_path):
    for name, target in stored(engine, toy, tmp_path).items():
        assert name in STORED and fuzz(target, CASES[name], 1)["read"], name
