"""What a bad day of a server looks like: each call may fail in one of many ways, chosen by a seeded throw."""

import random
import threading
from dataclasses import dataclass

from tests.servers.base import Failure, Raw, Reply, Reset

# Each fault, and the reason that a feature fails with when it is the last thing that happened to its call.
REASONS = {
    "429": "rate limit", "429 with Retry-After": "rate limit", "500": "server", "503": "server",
    "reset": "broken off", "hang": "timeout", "cut body": "broken off", "other body": "no answer",
    "truncated JSON": "truncated", "wrong schema": "wrong schema", "refusal": "refusal", "empty": "empty",
    "1 MB of text": "wrong schema"}
FAULTS = tuple(REASONS)
GOOD = "good"


@dataclass(frozen=True)
class Call:
    """What came of one call: ``prompt`` tells the features apart, ``what`` is a fault or GOOD, ``label`` the answer."""

    prompt: str
    what: str
    label: str


def evidence_in(messages: list[dict]) -> str:
    """The part of a prompt that is about the feature, whatever examples and repairs stand around it."""
    return [message["content"] for message in messages if "Active windows" in message["content"]][-1]


class Faults:
    """An ``answer`` for a test server.

    ``share`` of the calls fail; those about a prompt in ``struck`` always do, by the fault named there. ``calls`` holds
    every call in the order of its end. A hanging call is let go by ``end``.
    """

    def __init__(self, share: float, seed: int = 0):
        self.share, self.struck = share, {}
        self.random = random.Random(seed)
        self.calls: list[Call] = []
        self.end = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, messages: list[dict]) -> str | Reply | Raw | Failure:
        prompt = evidence_in(messages)
        with self.lock:
            what = self.struck.get(prompt) or (
                self.random.choice(FAULTS) if self.random.random() < self.share else GOOD)
            label = f"answer {len(self.calls)}"
            self.calls.append(Call(prompt, what, label))
        return self._answer(what, label)

    def _answer(self, what: str, label: str) -> str | Reply | Raw | Failure:
        good = f'{{"label": "{label}", "explanation": "", "kind": "other", "confidence": 0.5}}'
        if what == "hang":
            self.end.wait(60)
        if what in ("hang", "reset"):
            raise Reset
        return {
            GOOD: good, "429": Failure(429), "429 with Retry-After": Failure(429, headers={"Retry-After": "0.1"}),
            "500": Failure(500), "503": Failure(503), "cut body": Raw(good[:20], cut=True),
            "other body": Raw("<html>Bad gateway</html>", "text/html"), "truncated JSON": good[:25],
            "wrong schema": '{"name": "brackets"}', "refusal": "I'm sorry, I can't help with that.", "empty": "",
            "1 MB of text": "brackets and braces " * 50_000}[what]
