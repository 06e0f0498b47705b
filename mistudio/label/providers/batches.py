"""Calls from several threads that are answered together."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Asked, Answer = TypeVar("Asked"), TypeVar("Answer")


class Batches(Generic[Asked, Answer]):
    """One caller at a time works, for itself and for all that came while the one before it worked.

    Args:
        answer: gives for up to ``most`` questions, in their order, answers or the exceptions to raise.
    """

    def __init__(self, answer: Callable[[list[Asked]], Sequence[Answer | Exception]], most: int):
        self.answer, self.most = answer, most
        self._waiting: SimpleQueue[tuple[Asked, Future]] = SimpleQueue()
        self._working = threading.Lock()

    def ask(self, question: Asked) -> Answer:
        """The answer to one question, once its batch is done."""
        mine: Future = Future()
        self._waiting.put((question, mine))
        while not mine.done():
            with self._working:
                if not mine.done():
                    self._work()
        return mine.result()

    def _work(self) -> None:
        batch = []
        while len(batch) < self.most:
            try:
                batch.append(self._waiting.get_nowait())
            except Empty:
                break
        try:
            answers = self.answer([question for question, _future in batch])
        except Exception as error:  # it belongs to every caller of the batch, and each raises it
            answers = [error] * len(batch)
        for (_question, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
