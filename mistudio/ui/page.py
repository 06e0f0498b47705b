"""The one shared call that every page opens with.

A first visit straight to ``/label`` on a cold server runs that page's script alone, so page settings, navigation, the
choice of extraction and the running job are all set here and nowhere else; and who may not see it is stopped here.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from sqlalchemy import Engine

from mistudio.errors import StoreError
from mistudio.settings import settings
from mistudio.store.engine import session
from mistudio.store.extractions import list_extractions
from mistudio.store.tables import Extraction
from mistudio.ui import resources
from mistudio.ui.failing import guard
from mistudio.ui.running import show_running
from mistudio.ui.tokens import STYLE, markdown_safe, readable
from mistudio.ui.turns import turn
from mistudio.ui.visiting import enter, may_write, show_visitor

SIDEBAR_WIDTH, RECORDED_WIDTH = 232, 278  # pixels; the second for the larger type of a video
# A picture of our own: the browser fetches the icons that Streamlit knows by name from another host.
ICON = Path(__file__).with_name("icon.svg")
# For a video: larger type, and nothing of the tool it is made with.
RECORDING = """
<style>
html {font-size: 18px !important;}
[data-testid="stMainMenu"], [data-testid="stAppDeployButton"], [data-testid="stToolbarActions"],
[data-testid="stStatusWidget"], [data-testid="stElementToolbar"] {display: none;}
</style>
"""
# Script, name in the navigation, icon.
PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/browse.py", "Browse", ":material/view_list:"),
    ("pages/label.py", "Label", ":material/label:"),
    ("pages/review.py", "Review", ":material/rate_review:"),
    ("pages/search.py", "Search", ":material/search:"),
)
# Search's other way; shown, and in the URL.
FIRES = "What fires on a text"
# Of no use to those who may write nothing.
FOR_WRITERS = ("pages/review.py",)


@dataclass(frozen=True)
class Here:
    """What a page works on: the database, and the extraction its URL names (None only on an empty home page)."""

    engine: Engine
    extraction: Extraction | None

    @property
    def id(self) -> int:
        """The extraction's id."""
        return self.extraction.id


@contextmanager
def open_page(title: str, *, needs_extraction: bool = True) -> Iterator[Here]:
    """Set a page up and run its body; failures inside become messages.

    Args:
        title: the page's name in the navigation.
        needs_extraction: without one, say so and stop before the body.
    """
    with turn():
        recording = settings().recording
        st.set_page_config(page_title=f"{title} · mistudio", page_icon=ICON, layout="wide",
                           initial_sidebar_state=RECORDED_WIDTH if recording else SIDEBAR_WIDTH)
        here = None
        with guard():
            st.html(STYLE + RECORDING if recording else STYLE)
            enter()
            here = _prepare()
        if here is None:
            st.stop()
        if here.extraction is None and needs_extraction:
            st.title(title)
            st.info("There is no extraction yet, so there is nothing to show here.", icon=":material/info:")
            if may_write():
                st.page_link("app.py", label="Set up the demo on the home page", icon=":material/arrow_forward:")
            st.stop()
        with guard():
            yield here
        resources.settle()


def _prepare() -> Here:
    engine = resources.engine()
    with session(engine) as work:
        extractions = [found for found in list_extractions(work) if found.state == "done"]
    return Here(engine, _sidebar(engine, extractions))


def link(script: str, label: str, icon: str | None = None, *, extraction_id: int | None, **params) -> None:
    """A link to a page, with the extraction and the rest of the state in its address."""
    query = {"x": extraction_id, **params}
    st.page_link(script, label=label, icon=icon,
                 query_params={name: str(value) for name, value in query.items() if value not in (None, "")})


def link_to_firing(here: Here, index: int) -> None:
    """A link to Search, where a feature is tested on a text."""
    link("pages/search.py", "Test on a text", ":material/bolt:", extraction_id=here.id, find=FIRES, f=index)


def feature_in_url() -> int | None:
    """The feature index in ``?f=``, or None.

    Raises:
        StoreError: it is no number.
    """
    text = st.query_params.get("f", "")
    if text and not _is_number(text):
        raise StoreError(f"{text[:40]!r} is not a feature index.", "Use a whole number, for example ?f=12.")
    return int(text) if text else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _sidebar(engine: Engine, extractions: list[Extraction]) -> Extraction | None:
    with st.sidebar:
        st.html('<div class="ms-brand">mistudio</div>')
        slot = st.container(gap="xxsmall")
        extraction = _picker(extractions)
        for script, name, icon in PAGES:
            if script not in FOR_WRITERS or may_write():
                with slot:
                    link(script, name, icon, extraction_id=extraction.id if extraction else None)
        show_running(engine)
        show_visitor()
    return extraction


def _picker(extractions: list[Extraction]) -> Extraction | None:
    if not extractions:
        return None
    by_id = {found.id: found for found in extractions}
    names = told_apart(extractions)
    wanted = st.query_params.get("x", "")
    if wanted and (not _is_number(wanted) or int(wanted) not in by_id):
        del st.query_params["x"]
        st.warning(f"There is no extraction {markdown_safe(wanted[:40])}. The newest is shown.")
        wanted = ""
    st.session_state["extraction"] = int(wanted) if wanted else extractions[0].id
    picked = st.selectbox("Extraction", list(by_id), key="extraction", on_change=_picked,
                          format_func=names.get,
                          help="One pass of a model and an SAE over a corpus. All pages show this one.")
    st.query_params["x"] = str(picked)
    return by_id[picked]


def told_apart(extractions: list[Extraction]) -> dict[int, str]:
    """A name for each extraction, by id; those that share one with another get their number too."""
    names = {found.id: " ".join(readable(found.name).split()) for found in extractions}
    several = Counter(names.values())
    return {number: name if several[name] == 1 else f"{name} ({number})" for number, name in names.items()}


def _picked() -> None:
    st.query_params["x"] = str(st.session_state["extraction"])
    st.query_params.pop("f", None)
