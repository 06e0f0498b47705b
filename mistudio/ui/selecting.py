"""Which features a job is for, as widgets shared by labeling and scoring."""

import streamlit as st

from mistudio.errors import MistudioError
from mistudio.label.selection import format_indices, parse_indices
from mistudio.store.features import FeatureFilter
from mistudio.ui import filters
from mistudio.ui.failing import show_error
from mistudio.ui.page import Here, link
from mistudio.ui.tokens import markdown_safe

LONGEST = 80
WHAT = {"unlabeled": "All unlabeled", "labeled": "All labeled", "score": "By score", "filter": "Current filter",
        "chosen": "Chosen features", "all": "Everything"}


def choose_features(here: Here, usual: str, offered: tuple[str, ...], *, key: str) -> FeatureFilter | None:
    """The features to work on; None while the choice is not complete.

    Args:
        usual: which of ``offered`` is chosen first, unless the address says otherwise.
    """
    only = st.query_params.get("only", "")
    names = [name for name in offered if name != "filter" or only or st.query_params.get("what") == "filter"]
    first = st.query_params.get("what", usual)
    what = st.segmented_control("Which features", names, format_func=WHAT.get, required=True, key=f"what_{key}",
                                label_visibility="collapsed", wrap=True,
                                default=first if first in names else usual)
    if what in ("unlabeled", "labeled"):
        return FeatureFilter(labels=what)
    if what == "score":
        above, below = filters.score_range()
        return FeatureFilter(labels="scored", score_above=above, score_below=below)
    if what == "filter":
        wanted = filters.from_url(only)
        st.caption(f"From Browse: {markdown_safe(filters.in_words(wanted))}")
        link("pages/browse.py", "Change the filter", ":material/filter_alt:", extraction_id=here.id)
        return wanted
    if what == "all":
        st.caption("Labels that a person wrote or approved are kept, unless the options say otherwise.")
        return FeatureFilter()
    text = st.text_input("Features", key=f"chosen_{key}", placeholder="0-99,205", persist_state="session",
                         help="Indices and ranges, with commas between them.")
    if not text.strip():
        return None
    try:
        return FeatureFilter(indices=parse_indices(text, here.extraction.d_sae))
    except MistudioError as error:
        show_error(error)
        return None


def fill_features(wanted: FeatureFilter, offered: tuple[str, ...], *, key: str) -> None:
    """Set the widgets to a choice that was made before."""
    for name in ("what", "only"):
        st.query_params.pop(name, None)
    what = {FeatureFilter(): "all", FeatureFilter(labels="unlabeled"): "unlabeled",
            FeatureFilter(labels="labeled"): "labeled"}.get(wanted)
    if wanted == FeatureFilter(indices=wanted.indices) and wanted.indices:
        what = "chosen"
        st.session_state[f"chosen_{key}"] = format_indices(wanted.indices)
    if what not in offered:
        what = "filter"
        st.query_params["what"], st.query_params["only"] = what, filters.to_url(wanted)
    st.session_state[f"what_{key}"] = what


def in_words(wanted: FeatureFilter) -> str:
    """Which features, as a short phrase."""
    if not wanted.indices:
        return filters.in_words(wanted)
    text = format_indices(wanted.indices)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def stored_filter(config: dict) -> FeatureFilter:
    """Which features a run was started for, from what its row holds."""
    return FeatureFilter(**{name: tuple(value) if isinstance(value, list) else value
                            for name, value in config.get("wanted", {}).items()})
