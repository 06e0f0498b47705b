"""Pages are made one at a time, and none waits long for another."""

import threading

from mistudio.ui import turns
from mistudio.ui.turns import aside, turn

SOON = 20  # seconds; what comes at all has come long before


def beside(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_page_begins_when_the_one_before_it_has_ended(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", SOON)
    order, asked = [], threading.Event()

    def other() -> None:
        asked.set()
        with turn():
            order.append("second")

    with turn():
        waiting = beside(other)
        assert asked.wait(SOON)
        waiting.join(0.2)
        order.append("first")
    waiting.join(SOON)
    assert order == ["first", "second"]


def test_while_a_page_asks_a_model_others_are_made(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", SOON)
    made, inside = threading.Event(), threading.Event()

    def other() -> None:
        with turn():
            made.set()
            assert inside.wait(SOON)

    with turn():
        with aside("Asking"):
            waiting = beside(other)
            assert made.wait(SOON / 2)
            inside.set()
        assert not turns._turn.acquire(blocking=False), "and then it is this page's turn again"
    waiting.join(SOON)


def test_nobody_waits_for_a_page_that_takes_long(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    made = threading.Event()

    def other() -> None:
        with turn():
            made.set()

    with turn():
        beside(other)
        assert made.wait(SOON)


def test_a_page_that_fails_ends_its_turn(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", SOON)
    try:
        with turn(), aside("Asking"):
            raise ConnectionError
    except ConnectionError:
        pass
    assert turns._turn.acquire(blocking=False)
    turns._turn.release()


def test_a_fragment_that_runs_alone_needs_no_turn():
    with turn():
        done = threading.Event()

        def fragment() -> None:
            with aside("Asking"):
                done.set()

        beside(fragment)
        assert done.wait(SOON)
