"""Calls of several threads that are answered together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from mistudio.label.providers.batches import Batches


def test_each_caller_gets_its_own_answer_in_batches_of_at_most_so_many():
    first, sizes = Event(), []

    def squares(numbers):
        if not sizes:
            first.wait(10)  # the others come while the first one works
        sizes.append(len(numbers))
        return [number * number for number in numbers]

    batches = Batches(squares, 4)
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(batches.ask, number) for number in range(10)]
        while batches._waiting.qsize() < 9:
            first.wait(0.001)
        first.set()
        assert [answer.result(10) for answer in answers] == [number * number for number in range(10)]
    assert sizes == [1, 4, 4, 1]


def test_an_error_reaches_the_caller_it_belongs_to():
    batches = Batches(lambda words: [ValueError(word) if word == "bad" else word.upper() for word in words], 8)
    assert batches.ask("good") == "GOOD"
    with pytest.raises(ValueError, match="bad"):
        batches.ask("bad")


def test_a_batch_that_breaks_is_an_error_for_all_and_the_next_one_works():
    def answer(words):
        if "crash" in words:
            raise RuntimeError("out of memory")
        return words

    batches = Batches(answer, 8)
    with pytest.raises(RuntimeError, match="out of memory"):
        batches.ask("crash")
    assert batches.ask("fine") == "fine"
