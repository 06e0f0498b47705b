"""Browse: features filtered, sorted and paged in SQL, beside their map or the detail of the chosen one."""

import streamlit as st

from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, count_features, get_feature, list_features
from mistudio.ui import filters
from mistudio.ui.feature import show_feature
from mistudio.ui.feature_map import show_map
from mistudio.ui.feature_table import show_table
from mistudio.ui.page import Here, feature_in_url, guard, link, open_page
from mistudio.ui.sharing import show_sharing
from mistudio.ui.tokens import markdown_safe

ROWS = 50


def main(here: Here) -> None:
    st.title("Browse")
    st.caption(markdown_safe(f"{here.extraction.model} · {here.extraction.hook_point} · {here.extraction.sae}"))
    wanted = filters.filter_bar()
    chosen = feature_in_url()
    with session(here.engine) as work:
        total = count_features(work, here.id)
        matching = total if wanted == FeatureFilter() else count_features(work, here.id, wanted)
    counts(here, wanted, matching, total)
    left, right = st.columns(2, gap="medium")
    with left:
        listed = listing(here, wanted, matching, chosen)
    with right, st.container(border=True, key="browse-side"):
        if chosen is None:
            show_map(here, wanted)
        else:
            detail(here, chosen, listed)


def counts(here: Here, wanted: FeatureFilter, matching: int, total: int) -> None:
    """How many features match, by which filter, and where to go with them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        number = f"{total:,} features" if matching == total else f"{matching:,} of {total:,} features"
        st.markdown(f"**{number}**", width="content")
        said = filters.in_words(wanted) if wanted != FeatureFilter() else "Drag a box in the chart to choose a part."
        st.caption(markdown_safe(said), width="stretch")
        if matching:
            only = filters.to_url(wanted)
            link("pages/label.py", "Label these", ":material/label:", extraction_id=here.id, what="filter", only=only)
            link("pages/review.py", "Review these", ":material/rate_review:", extraction_id=here.id, only=only)


def listing(here: Here, wanted: FeatureFilter, matching: int, chosen: int | None) -> list[int]:
    """Order, page and table; returns the indices of the features on this page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        column = st.selectbox("Sort by", list(filters.SORTS), key="sort", bind="query-params", width=150,
                              label_visibility="collapsed", on_change=filters.first_page)
        descending = st.toggle("Descending", key="desc", bind="query-params", on_change=filters.first_page)
        pages = max(1, -(-matching // ROWS))
        page = st.pagination(pages, key="page", bind="query-params", max_visible_pages=5) if pages > 1 else 1
    if not matching:
        st.info("No feature matches these filters. Take one of them away, or press Clear.",
                icon=":material/filter_alt_off:")
        return []
    sort = filters.SORTS[column]
    with session(here.engine) as work:
        rows = list_features(work, here.id, wanted, sort=sort, descending=descending, limit=ROWS,
                             offset=(page - 1) * ROWS)
    # Another list, or a feature that was opened elsewhere, is another table: it selects what is open now. A click in
    # the table itself leaves it as it is, for a new one would be scrolled to its beginning.
    key = f"{hash((here.id, wanted, sort, descending, page)):x}-{st.session_state.get('moved', 0)}"
    show_table(rows, sort, chosen, key=key, clicked=open_feature)
    return [feature.index for feature, _label in rows]


def detail(here: Here, index: int, listed: list[int]) -> None:
    with guard():
        with session(here.engine) as work:
            feature, label = get_feature(work, here.id, index)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Feature {index:,}**", width="stretch")
            step("Previous", ":material/chevron_left:", listed, index, -1)
            step("Next", ":material/chevron_right:", listed, index, +1)
            show_sharing(here, feature, label)
            st.button("Close", icon=":material/close:", type="tertiary", on_click=close)
        show_feature(here, feature, label, go=go, key="browse")
        return
    st.button("Close", icon=":material/close:", type="tertiary", on_click=close)


def step(name: str, icon: str, listed: list[int], index: int, by: int) -> None:
    """A button to the feature before or after this one on the page of rows."""
    at = listed.index(index) + by if index in listed else -1
    inside = 0 <= at < len(listed)
    st.button(name, icon=icon, type="tertiary", disabled=not inside, on_click=go,
              args=(listed[at] if inside else index,), help=f"{name} in this list.")


def open_feature(index: int) -> None:
    st.query_params["f"] = str(index)


def go(index: int) -> None:
    """Open a feature from outside the table."""
    open_feature(index)
    moved()


def close() -> None:
    st.query_params.pop("f", None)
    moved()


def moved() -> None:
    st.session_state["moved"] = st.session_state.get("moved", 0) + 1


with open_page("Browse") as here:
    main(here)
