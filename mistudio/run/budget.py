"""What a run may use: US dollars or tokens, counted over all its sittings."""

from mistudio.run.config import RunConfig
from mistudio.store.items import Outcome
from mistudio.store.tables import Run


class Budget:
    """Keeps a run from sending calls that would take it over its limits, those in flight included.

    A call is reckoned at the mean of those that have landed; until one has, only one is sent.
    """

    def __init__(self, config: RunConfig, run: Run):
        self.dollars, self.tokens = config.budget_dollars, config.budget_tokens
        self.spent, self.used = run.cost or 0.0, run.prompt_tokens + run.completion_tokens
        self.landed = 0
        self._before = self.spent, self.used
        self._unknown = ""

    def verdict(self, in_flight: int) -> str:
        """"" when one more call may be sent beside those in flight, "wait" while that is not known, else the reason
        why not."""
        if self.dollars is None and self.tokens is None:
            return ""
        if self._unknown:
            return self._unknown
        if not self.landed and in_flight:
            return "wait"
        each = [(now - before) / max(self.landed, 1) for now, before in
                zip((self.spent, self.used), self._before, strict=True)]
        if self.dollars is not None and _beyond(self.dollars, self.spent, each[0] * (in_flight + 1)):
            return f"The budget of ${self.dollars:,.2f} is used up: ${self.spent:,.4f} were spent."
        if self.tokens is not None and _beyond(self.tokens, self.used, each[1] * (in_flight + 1)):
            return f"The budget of {self.tokens:,} tokens is used up: {self.used:,} were used."
        return ""

    def add(self, outcome: Outcome) -> None:
        """Count what came of an item; a call without an answer used nothing that anybody knows of."""
        unanswered = outcome.state == "failed" and not outcome.reply and outcome.prompt_tokens is None
        if not outcome.asked or unanswered:
            return
        self.landed += 1
        self.spent += outcome.cost or 0.0
        self.used += (outcome.prompt_tokens or 0) + (outcome.completion_tokens or 0)
        if self.dollars is not None and outcome.cost is None:
            self._unknown = "The price of these calls is not known, so a budget in dollars cannot be kept."
        elif self.tokens is not None and outcome.prompt_tokens is None:
            self._unknown = "The server does not say how many tokens it uses, so a budget in tokens cannot be kept."


def _beyond(limit: float, used: float, expected: float) -> bool:
    return used >= limit or used + expected > limit
