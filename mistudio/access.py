"""Who is here, and what they may do. The database and all that spends ask this module, not only the pages.

Where nobody else is named it is the owner: at the shell, and in a dashboard on one's own machine. The dashboard says
who its visitor is (``ask``), and what goes on in another thread takes its visitor along (``carried``).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from mistudio.errors import AccessError
from mistudio.settings import settings

P, T = ParamSpec("P"), TypeVar("T")
HINTS = {"public": "To do that, run mistudio on a machine of your own.",
         "login": "Ask the owner of this server to make you an editor."}


@dataclass(frozen=True)
class Visitor:
    """``name`` is recorded with what they write. ``may_read`` is to see what is stored; ``may_write`` to change it, to
    start jobs, and to use the owner's keys and servers."""

    name: str
    may_read: bool = False
    may_write: bool = False


NOBODY = Visitor("")
_here: ContextVar[Visitor | None] = ContextVar("visitor", default=None)
_asked: Callable[[], Visitor] | None = None


def visitor() -> Visitor:
    """Whoever this thread works for."""
    return _here.get() or (_asked() if _asked else owner())


def owner() -> Visitor:
    """Whoever runs this program."""
    return Visitor(settings().author, may_read=True, may_write=True)


def ask(who: Callable[[], Visitor]) -> None:
    """From now on a function says who is here, for threads that work for nobody in particular."""
    global _asked
    _asked = who


@contextmanager
def acting_as(who: Visitor) -> Iterator[None]:
    """Work for somebody else for a while: for the owner, on what a server keeps for itself, such as its indexes."""
    token = _here.set(who)
    try:
        yield
    finally:
        _here.reset(token)


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The same function for another thread, where it works for whoever is here now."""
    who = visitor()

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with acting_as(who):
            return work(*args, **kwargs)

    return run


def require_read() -> None:
    """Raises: AccessError, where the visitor may see nothing."""
    if not visitor().may_read:
        raise AccessError("You have no access to this server.", "Log in, or ask its owner to let you in.")


def require_write() -> None:
    """Raises: AccessError, where the visitor may neither change nor spend anything."""
    require_read()
    if not visitor().may_write:
        raise AccessError("You can look around here, but not change anything.", HINTS.get(settings().access, ""))


def known(email: str) -> Visitor:
    """Whoever logged in with this address, by the lists of editors and viewers; nobody, where it is on neither."""
    # Other letters may look, or become, like ours: the Kelvin sign is a small k in lower case.
    if not email.isascii() or not re.fullmatch(r"[^@\s,]+@[^@\s,]+", email):
        return NOBODY
    email = email.lower()
    lists = settings()
    if _listed(email, lists.editors):
        return Visitor(email, may_read=True, may_write=True)
    return Visitor(email, may_read=True) if _listed(email, lists.viewers) else NOBODY


def _listed(email: str, listed: str) -> bool:
    entries = {entry.strip().lower() for entry in listed.split(",")}
    return email in entries or f"@{email.partition('@')[2]}" in entries
