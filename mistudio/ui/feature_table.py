"""The table of features: one page of rows, a click on a row opens it, a click on a column's title sorts by it."""

from collections.abc import Callable
from math import log1p

import pandas as pd
import streamlit as st
from streamlit import column_config as columns

from mistudio.store.tables import Feature, Label
from mistudio.ui import filters
from mistudio.ui.tokens import visible

SHOWN_ROWS = 14
ROW_HEIGHT = 35  # pixels
# By the name of what they sort by; what has none cannot be sorted by.
COLUMNS = {
    "index": columns.NumberColumn("Index", width=55, format="%d"),
    "label": columns.TextColumn("Label", width=170),
    "score": columns.NumberColumn("Score", width=58, format="%.2f",
                                  help="Of the label, on windows that no labeler saw."),
    "top tokens": columns.TextColumn("Top tokens", width=110,
                                     help="Tokens it fires on most. · is a space, ↵ a new line."),
    "activations": columns.BarChartColumn("Activations", width=70, y_min=0,
                                          help="How often it fires weakly (left) to strongly (right), on a log scale."),
    "density": columns.NumberColumn("Density", width=80, format="%.3g%%",
                                    help="Share of all tokens on which it is active."),
    "max_activation": columns.NumberColumn("Maximum", width=80, format="%.3g", help="Its strongest activation."),
    "state": columns.TextColumn("State", width=65),
    "label_state": columns.TextColumn("Label state", width=95),
    "kind": columns.TextColumn("Kind", width=95, help="What sort of pattern the labeler says it is."),
    "origin": columns.TextColumn("Origin", width=85, help="Where its label came from."),
    "provider": columns.TextColumn("Provider", width=90, help="What answered when its label was asked for."),
    "confidence": columns.NumberColumn("Confidence", width=90, format="percent", help="The labeler's own."),
    "disagreement": columns.NumberColumn("Disagreement", width=105, format="%.2f",
                                         help="How far its detection and fuzzing scores lie apart."),
}


def show_table(rows: list[tuple[Feature, Label | None]], sort: str, chosen: int | None, *, key: str,
               clicked: Callable[[int], None]) -> None:
    """The rows in their order.

    Args:
        sort: what they are sorted by; its column is shown beside the label.
        chosen: index of the feature that is open.
        key: names the list; with another one nothing is selected.
        clicked: called with the index of the feature whose row is clicked.
    """
    indices = [feature.index for feature, _label in rows]
    key = f"table-{key}"
    at = [(indices.index(chosen), "label")] if chosen in indices else []
    first = [name for name in ("index", "label", sort) if name in COLUMNS]
    st.dataframe(
        pd.DataFrame([_row(feature, label) for feature, label in rows]), key=key, hide_index=True, placeholder="",
        height=38 + ROW_HEIGHT * min(len(rows), SHOWN_ROWS), row_height=ROW_HEIGHT,
        column_order=list(dict.fromkeys([*first, *COLUMNS])), column_config=COLUMNS,
        on_select=lambda: _select(key, indices, clicked), selection_mode=["single-column", "single-cell"],
        selection_default={"selection": {"rows": [], "columns": [], "cells": at}})
    st.caption("Click a row to open the feature, or a column's title to sort all features by it.")


def _row(feature: Feature, label: Label | None) -> dict:
    return {
        "index": feature.index, "label": label.text if label else "",
        "top tokens": "  ".join(visible(str(token)) for token, *_rest in feature.top_tokens[:6]),
        "activations": [log1p(count) for _low, _high, count in feature.histogram],
        "score": feature.score, "density": 100 * feature.density, "max_activation": feature.max_activation,
        "state": feature.state, "label_state": feature.label_state, "kind": feature.kind or "",
        "origin": filters.origin_in_words(feature.origin), "provider": feature.provider or "",
        "confidence": feature.confidence, "disagreement": feature.disagreement}


def _select(key: str, indices: list[int], clicked: Callable[[int], None]) -> None:
    picked = st.session_state[key].selection
    for row, _column in picked.cells:
        clicked(indices[row])
    for name in picked.columns:
        _sort_by(name)


def _sort_by(column: str) -> None:
    """Sort by a column, from large to small where that is what a person looks for; once more turns it round."""
    name = next((name for name, sort in filters.SORTS.items() if sort == column), None)
    if name is None:
        return
    turned = st.session_state["sort"] == name
    largest_first = column in ("score", "density", "max_activation", "confidence", "disagreement")
    st.session_state["desc"] = not st.session_state["desc"] if turned else largest_first
    st.session_state["sort"] = name
    filters.first_page()
