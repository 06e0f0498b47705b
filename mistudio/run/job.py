"""What a run does with each of its items; ``run.loop`` says when."""

import logging
from collections.abc import Callable
from typing import Protocol

from sqlalchemy.exc import InterfaceError, OperationalError

from mistudio.errors import ProviderSetupError
from mistudio.run.config import RunConfig
from mistudio.store.items import Item, Outcome

log = logging.getLogger(__name__)
# The database cannot be reached or written for now: nothing is wrong with what was to be done.
UNREACHABLE = (OperationalError, InterfaceError)


class Job(Protocol):
    """What a run does with each of its items: one thread prepares, several ask."""

    config: RunConfig
    concurrency: int
    replace_human: bool

    def prepare(self, items: list[Item]) -> list[object | Outcome]:
        """For each: what to ask with, or what came of the item where nobody is to be asked.

        Raises:
            ProviderSetupError: no item can succeed until the user changes something.
        """
        ...

    def ask(self, prepared: object) -> Outcome:
        """Everything else up to, but without, writing. Raises: as above."""
        ...

    def rate_limits(self) -> int:
        """How often the server has limited the rate so far."""
        ...


def guarded(work_on: Callable, what: Item | list[Item]) -> object | Outcome:
    """What came of an item, or of several; a defect on one feature must not end the run for all others."""
    try:
        return work_on(what)
    except (ProviderSetupError, *UNREACHABLE):
        raise
    except Exception as error:
        log.exception("%s could not be worked on", what)
        return defect(error)


def defect(error: Exception) -> Outcome:
    """What came of an item that something of ours went wrong with."""
    return Outcome("failed", reason_kind="defect", reason=f"{type(error).__name__}: {error}")
