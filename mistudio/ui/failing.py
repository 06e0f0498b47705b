"""Failures on a page: each becomes a sentence, and what can be done about it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from sqlalchemy.exc import DBAPIError

from mistudio.errors import MistudioError
from mistudio.store.failures import failure
from mistudio.ui.tokens import markdown_safe

log = logging.getLogger(__name__)


@contextmanager
def guard() -> Iterator[None]:
    """Show a failure as a sentence and what to do about it. Also for the body of each fragment."""
    try:
        yield
    except MistudioError as error:
        show_error(error)
    except DBAPIError as error:
        log.warning("a page could not use the database: %s", error.orig)
        show_error(failure(error))
    except Exception:
        log.exception("a page failed")
        st.error("Something went wrong on this page. Nothing that was stored is lost.", icon=":material/error:")
        st.caption("Reload the page. If it stays so, the details are in the log of the server.")


def show_error(error: MistudioError) -> None:
    """An expected failure: what happened, and what to do next."""
    hint = f"\n\n{markdown_safe(error.hint)}" if error.hint else ""
    st.error(f"**{markdown_safe(error.message)}**{hint}", icon=":material/error:")
