"""What a run may use: no call is sent that the calls in flight do not leave room for."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from mistudio.run.budget import Budget
from mistudio.run.config import RunConfig
from mistudio.store import Run
from mistudio.store.items import Outcome


def budget_for(spent=0, **limits):
    return Budget(RunConfig(provider="openai", **limits), Run(extraction_id=1, prompt_tokens=spent))


def landed(tokens=100, cost=None, **more):
    return Outcome(asked=True, prompt_tokens=tokens, completion_tokens=0, cost=cost, **more)


def test_without_a_limit_everything_may_be_sent():
    budget = budget_for()
    budget.add(landed(None))
    assert budget.verdict(63) == ""


@given(st.integers(100, 20_000), st.integers(1, 64), st.randoms())
def test_it_is_overshot_by_less_than_the_calls_in_flight(limit, width, random):
    budget, flying, most = budget_for(budget_tokens=limit), deque(), 0
    while flying or budget.verdict(0) == "":
        while len(flying) < width and budget.verdict(len(flying)) == "":
            flying.append(random.randint(1, 200))
            most = 200 * len(flying)
        budget.add(landed(flying.popleft()))
        assert budget.used <= limit + most
    assert "is used up" in budget.verdict(0)


@given(st.integers(1, 50), st.integers(1, 64))
def test_calls_of_one_size_never_overshoot(affordable, width):
    budget, in_flight = budget_for(budget_dollars=affordable * 0.01), 0
    while in_flight or budget.verdict(0) == "":
        while in_flight < width and budget.verdict(in_flight) == "":
            in_flight += 1
        in_flight -= 1
        budget.add(landed(cost=0.01))
    assert affordable - 1 <= budget.landed <= affordable, "a cent may be lost to rounding"


def test_what_earlier_sittings_used_counts():
    assert "1,000 were used" in budget_for(spent=1_000, budget_tokens=1_000).verdict(0)


def test_until_a_call_has_landed_only_one_is_sent():
    budget = budget_for(budget_tokens=1_000)
    assert budget.verdict(0) == ""
    assert budget.verdict(1) == "wait"


def test_a_limit_that_cannot_be_kept_stops_the_run():
    budget = budget_for(budget_dollars=1)
    budget.add(landed(cost=None))
    assert "price of these calls is not known" in budget.verdict(0)
    budget = budget_for(budget_tokens=1_000)
    budget.add(landed(None))
    assert "does not say how many tokens" in budget.verdict(0)


def test_a_call_without_an_answer_says_nothing_of_prices():
    budget = budget_for(budget_dollars=1, budget_tokens=1_000)
    budget.add(landed(None, state="failed", reason_kind="timeout"))
    assert budget.verdict(0) == ""
