"""Pages are made one at a time, each from its beginning to its end.

Python runs one thread at a time in any case. Fifty visitors' threads that pass the interpreter and Streamlit's locks to
one another hundreds of times a page make half as many pages, and each of them waits for nearly all others.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

# Seconds after which a page is made beside another one: where that takes long, nobody else waits for its end.
PATIENCE = 2.0
_turn = threading.Lock()
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """Make a page in the block."""
    _mine.held = _turn.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        _give_back()


@contextmanager
def aside(text: str) -> Iterator[None]:
    """Do in the block what may take long, such as to ask a model: a spinner says so in ``text``, and meanwhile others'
    pages are made."""
    held = _give_back()
    try:
        with st.spinner(text):
            yield
    finally:
        if held:
            _mine.held = _turn.acquire(timeout=PATIENCE)


def _give_back() -> bool:
    """Let the next page be made; whether it was this one's turn (a fragment that runs alone takes none)."""
    held, _mine.held = getattr(_mine, "held", False), False
    if held:
        _turn.release()
    return held
