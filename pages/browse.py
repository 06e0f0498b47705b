"""Browse: features filtered, sorted and paged in SQL, beside their map or the detail of the chosen one.

What draws tables and charts is imported where it is used: on a server that has just started, the page shows before.
"""

import streamlit as st

from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, count_features, get_feature, list_features
from mistudio.ui import filters
from mistudio.ui.failing import guard
from mistudio.ui.page import Here, feature_in_url, link, open_page
from mistudio.ui.sharing import show_sharing
from mistudio.ui.tokens import html_safe, markdown_safe
from mistudio.ui.visiting import may_write

ROWS = 50


def main(here: Here) -> None:
    st.title("Browse")
    st.caption(markdown_safe(f"{here.extraction.model} · {here.extraction.hook_point} · {here.extraction.sae}"))
    wanted = filters.filter_bar()
    chosen = feature_in_url()
    with session(here.engine) as work:
        total = count_features(work, here.id)
        matching = total if wanted == FeatureFilter() else count_features(work, here.id, wanted)
    order = order_bar(wanted, matching, total)
    page = page_bar(here, wanted, matching)
    left, right = st.columns(2, gap="medium")
    with left:
        listed = listing(here, wanted, order, page, chosen) if matching else nothing()
    with right, st.container(border=True, key="browse-map" if chosen is None else "browse-detail"):
        if chosen is None:
            from mistudio.ui.feature_map import show_map

            show_map(here, wanted, matching)
        else:
            detail(here, chosen, listed)


def order_bar(wanted: FeatureFilter, matching: int, total: int) -> tuple[str, bool]:
    """How many features match which filter, and their order: what to sort by, and whether it descends."""
    with st.container(horizontal=True, vertical_alignment="center"):
        number = f"{total:,} features" if matching == total else f"{matching:,} of {total:,} features"
        st.markdown(f"**{number}**", width="content")
        said = html_safe(filters.in_words(wanted)) if wanted != FeatureFilter() else ""
        st.html(f'<div class="ms-small ms-one-line" title="{said}">{said}</div>')
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.caption("Sort by", width="content")
            column = st.selectbox("Sort by", list(filters.SORTS), key="sort", bind="query-params", width=150,
                                  label_visibility="collapsed", on_change=filters.first_page)
        descending = st.toggle("Descending", key="desc", bind="query-params", on_change=filters.first_page)
    return filters.SORTS[column], descending


def page_bar(here: Here, wanted: FeatureFilter, matching: int) -> int:
    """The page of the list, from 1, and where to go with all that match."""
    with st.container(horizontal=True, vertical_alignment="center"):
        # Also where there is one page only, so that nothing moves when a filter comes or goes.
        page = st.pagination(max(1, -(-matching // ROWS)), key="page", bind="query-params", max_visible_pages=7)
        st.space("stretch")
        if matching and may_write():
            only = filters.to_url(wanted)
            link("pages/label.py", "Label these", ":material/label:", extraction_id=here.id, what="filter", only=only)
            link("pages/review.py", "Review these", ":material/rate_review:", extraction_id=here.id, only=only)
    return page


def nothing() -> list[int]:
    st.info("No feature matches these filters. Take one of them away, or press Clear.",
            icon=":material/filter_alt_off:")
    return []


def listing(here: Here, wanted: FeatureFilter, order: tuple[str, bool], page: int, chosen: int | None) -> list[int]:
    """The table; returns the indices of the features on this page."""
    from mistudio.ui.feature_table import show_table

    with session(here.engine) as work:
        rows = list_features(work, here.id, wanted, sort=order[0], descending=order[1], limit=ROWS,
                             offset=(page - 1) * ROWS)
    # Another list, or a feature that was opened elsewhere, is another table: it selects what is open now. A click in
    # the table itself leaves it as it is, for a new one would be scrolled to its beginning.
    key = f"{hash((here.id, wanted, order, page)):x}-{st.session_state.get('moved', 0)}"
    show_table(rows, order[0], chosen, key=key, clicked=open_feature)
    return [feature.index for feature, _label in rows]


def detail(here: Here, index: int, listed: list[int]) -> None:
    from mistudio.ui.feature import show_feature, show_star

    with guard():
        with session(here.engine) as work:
            feature, label = get_feature(work, here.id, index)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Feature {index:,}**", width="stretch")
            step(":material/chevron_left:", "The feature before this one in the list.", listed, index, -1)
            step(":material/chevron_right:", "The feature after this one in the list.", listed, index, +1)
            show_star(here, feature, key="browse")
            show_sharing(here, feature, label)
            st.button("Close", icon=":material/close:", type="tertiary", on_click=close)
        show_feature(here, feature, label, go=go, key="browse")
        return
    st.button("Close", icon=":material/close:", type="tertiary", on_click=close)


def step(icon: str, meaning: str, listed: list[int], index: int, by: int) -> None:
    """A button to another feature on this page of the list."""
    at = listed.index(index) + by if index in listed else -1
    inside = 0 <= at < len(listed)
    st.button(icon, key=f"step{by}", type="tertiary", disabled=not inside, on_click=go,
              args=(listed[at] if inside else index,), help=meaning)


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
