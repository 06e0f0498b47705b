"""Browse: the table of features, filtered and paged in SQL, and the detail of the chosen one."""

import pandas as pd
import streamlit as st

from mistudio.store.engine import session
from mistudio.store.features import count_features, get_feature, list_features
from mistudio.ui import filters, resources
from mistudio.ui.charts import density_chart
from mistudio.ui.feature import show_feature
from mistudio.ui.page import Here, feature_in_url, guard, link, open_page
from mistudio.ui.tokens import markdown_safe, visible

ROWS, SHOWN_ROWS = 50, 13


def main(here: Here) -> None:
    st.title("Browse")
    st.caption(markdown_safe(f"{here.extraction.model} · {here.extraction.hook_point} · {here.extraction.sae}"))
    wanted = filters.filter_bar()
    chosen = feature_in_url()
    with session(here.engine) as work:
        total = count_features(work, here.id)
        matching = count_features(work, here.id, wanted)
    sort, page = order_bar(here, wanted, matching, total)
    if not matching:
        st.info("No feature matches these filters. Clear one of them to see more.", icon=":material/filter_alt_off:")
    if chosen is None:
        if matching:
            table(here, wanted, sort, page, None)
            density(here, wanted)
        return
    left, right = st.columns([5, 6], gap="medium")
    with left:
        if matching:
            table(here, wanted, sort, page, chosen)
    with right, st.container(border=True):
        detail(here, chosen)


def order_bar(here: Here, wanted: filters.FeatureFilter, matching: int, total: int) -> tuple[tuple[str, bool], int]:
    """Counts, sort and page; returns ((column, descending), page from 0)."""
    with st.container(horizontal=True, vertical_alignment="center"):
        counted = f"{total:,} features" if matching == total else f"{matching:,} of {total:,} features"
        st.markdown(f"**{counted}**", width="stretch")
        if matching:
            link("pages/label.py", "Label these", ":material/label:", extraction_id=here.id, what="filter",
                 only=filters.to_url(wanted))
        st.caption("Sort by", width="content")
        column = st.selectbox("Sort by", list(filters.SORTS), key="sort", bind="query-params", width=130,
                              label_visibility="collapsed")
        descending = st.toggle("Descending", key="desc", bind="query-params")
        pages = max(1, -(-matching // ROWS))
        page = st.pagination(pages, key="page", bind="query-params", max_visible_pages=5) if pages > 1 else 1
    return (filters.SORTS[column], descending), page - 1


def table(here: Here, wanted: filters.FeatureFilter, sort: tuple[str, bool], page: int, chosen: int | None) -> None:
    with session(here.engine) as work:
        rows = list_features(work, here.id, wanted, sort=sort[0], descending=sort[1], limit=ROWS, offset=page * ROWS)
    indices = [feature.index for feature, _label in rows]
    frame = pd.DataFrame({
        "index": indices,
        "label": [label.text if label else "" for _feature, label in rows],
        "top tokens": ["  ".join(visible(str(token)) for token, *_rest in feature.top_tokens[:6])
                       for feature, _label in rows],
        "score": [feature.score for feature, _label in rows],
        "density": [100 * feature.density for feature, _label in rows],
        "max": [feature.max_activation for feature, _label in rows],
        "state": [feature.state for feature, _label in rows],
        "review": [verdict(label) for _feature, label in rows],
    })
    # A new key is a new selection: one for each page of rows, and a fresh one after the detail was closed.
    key = f"table-{hash((here.id, wanted, sort, page)):x}-{st.session_state.get('closed', 0)}"
    at = [indices.index(chosen)] if chosen in indices else []
    # Above the table, where its toolbar would else lie over the links and page numbers.
    st.caption("Click a row to open the feature.")
    st.dataframe(
        frame, key=key, hide_index=True, placeholder="", height=38 + 35 * min(len(rows), SHOWN_ROWS), row_height=35,
        column_order=None if chosen is None else ["index", "label", "top tokens"],
        on_select=lambda: select(key, indices), selection_mode=["single-row", "single-cell"],
        selection_default={"selection": {"rows": at, "columns": [], "cells": []}},
        column_config={
            "index": st.column_config.NumberColumn("Index", width=70, format="%d"),
            "label": st.column_config.TextColumn("Label", width="medium"),
            "top tokens": st.column_config.TextColumn("Top tokens", width="medium",
                                                      help="Tokens it fires on most. · is a space, ↵ a new line."),
            "score": st.column_config.NumberColumn("Score", width=70, format="%.2f",
                                                   help="Of the label, on windows that no labeler saw."),
            "density": st.column_config.NumberColumn("Density", width=90, format="%.3g%%",
                                                     help="Share of all tokens on which it is active."),
            "max": st.column_config.NumberColumn("Max", width=80, format="%.3g", help="Its strongest activation."),
            "state": st.column_config.TextColumn("State", width=70),
            "review": st.column_config.TextColumn("Review", width=100),
        })


def select(key: str, indices: list[int]) -> None:
    """Put the clicked row into the URL."""
    picked = st.session_state[key].selection
    rows = [row for row, _column in picked.cells] or list(picked.rows)
    if rows:
        st.query_params["f"] = str(indices[rows[0]])


def verdict(label) -> str:
    if label is None:
        return ""
    return "by a person" if label.origin == "human" else label.verdict or "not reviewed"


def density(here: Here, wanted: filters.FeatureFilter) -> None:
    rows = resources.chart_points(here.engine, here.extraction, wanted)
    if any(row[1] > 0 for row in rows):
        st.plotly_chart(density_chart(rows), key="density-chart", config={"displayModeBar": False})


def detail(here: Here, index: int) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**Feature {index:,}**")
        st.button("Close", icon=":material/close:", type="tertiary", on_click=close)
    with guard():
        with session(here.engine) as work:
            feature, label = get_feature(work, here.id, index)
        show_feature(here, feature, label, key="browse")


def close() -> None:
    st.query_params.pop("f", None)
    st.session_state["closed"] = st.session_state.get("closed", 0) + 1


with open_page("Browse") as here:
    main(here)
