"""Which features: what is written is what was read."""

import pytest

from mistudio.label.selection import format_indices, parse_indices


@pytest.mark.parametrize("indices, text", [
    ((), ""), ((5,), "5"), ((0, 1), "0-1"), ((3, 1, 2, 2, 7), "1-3,7"), (range(100), "0-99"), ((1, 3, 5), "1,3,5")])
def test_indices_are_written_as_short_as_they_can_be(indices, text):
    assert format_indices(indices) == text
    if text:
        assert parse_indices(text, 100) == tuple(sorted(set(indices)))
