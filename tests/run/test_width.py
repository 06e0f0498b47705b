"""How many calls may be in flight."""

from hypothesis import given
from hypothesis import strategies as st

from mistudio.run.width import Width

WANTED = st.integers(1, 64)
LANDINGS = st.lists(st.tuples(st.booleans(), st.integers(0, 63)), max_size=200)


@given(WANTED, LANDINGS)
def test_it_is_never_below_one_nor_above_what_is_wanted(wanted, landings):
    width = Width(wanted)
    for limited, in_flight in landings:
        width.landed(limited=limited, in_flight=in_flight)
        assert 1 <= int(width) <= wanted


@given(WANTED)
def test_one_burst_of_refusals_halves_it_once(wanted):
    width = Width(wanted)
    for left in reversed(range(wanted)):
        width.landed(limited=True, in_flight=left)
    assert int(width) == max(1, wanted // 2)


@given(WANTED, LANDINGS)
def test_without_refusals_it_comes_back_to_what_is_wanted(wanted, landings):
    width = Width(wanted)
    for limited, in_flight in landings:
        width.landed(limited=limited, in_flight=in_flight)
    for _call in range(wanted * (wanted + 1) // 2 + wanted):
        width.landed(limited=False, in_flight=0)
    assert int(width) == wanted


def test_refusals_that_go_on_bring_it_down_to_one():
    width, calls = Width(64), 0
    while int(width) > 1:
        width.landed(limited=True, in_flight=int(width) - 1)
        calls += 1
    assert calls < 200
