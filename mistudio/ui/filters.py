"""The filter of features: as widgets bound to the URL, as one URL value to hand to another page, and in words."""

import math
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from mistudio.errors import StoreError
from mistudio.label.answer import KINDS
from mistudio.label.config import PROVIDERS
from mistudio.store.features import FeatureFilter
from mistudio.store.filtering import LONGEST_QUERY

# What is shown is also what stands in the URL, so the shown words must not change.
LABEL_STATES = ("Any", "Unlabeled", "Labeled", "Unreviewed", "Approved", "Rejected", "Human", "Scored", "Unscored")
FEATURE_STATES = ("live", "rare", "dense", "dead")
ORIGINS = {"LLM": "llm", "Person": "human", "Import": "import", "Statistics": "statistics"}
SORTS = {"Index": "index", "Label": "label", "Score": "score", "Density": "density", "Maximum": "max_activation",
         "State": "state", "Label state": "label_state", "Kind": "kind", "Origin": "origin", "Provider": "provider",
         "Confidence": "confidence", "Disagreement": "disagreement", "Need": "need"}
SCORES = {"0": 0.0, "0.1": 0.1, "0.2": 0.2, "0.3": 0.3, "0.4": 0.4, "0.5": 0.5, "0.6": 0.6, "0.7": 0.7, "0.8": 0.8,
          "0.9": 0.9, "1": 1.0}
# Each widget's key, which is also its name in the URL, and its value while it does not filter.
FIRST = {"text": "", "labels": "Any", "state": [], "starred": False}
MORE = {"kind": "Any", "origin": "Any", "provider": "Any", "score": ("0", "1"), "density_from": None,
        "density_to": None, "max_from": None, "max_to": None}


def filter_bar() -> FeatureFilter:
    """The widgets; each keeps its value in the URL."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Text in label", key="text", bind="query-params", placeholder="for example: number",
                             help="Words of a label or an explanation, or how they begin.", live="400ms", width=220,
                             max_chars=LONGEST_QUERY,
                             on_change=first_page)
        labels = st.selectbox("Label state", LABEL_STATES, key="labels", bind="query-params", width=140,
                              on_change=first_page,
                              help="Unreviewed: labeled by a model, and nobody judged it yet. Human: written by a "
                                   "person. Unscored: labeled, and not measured yet.")
        states = st.multiselect("Feature state", FEATURE_STATES, key="state", bind="query-params", placeholder="Any",
                                width=210, on_change=first_page,
                                help="Live: useful to look at. Rare: fired too seldom to judge. Dense: active on a "
                                     "large share of all tokens. Dead: never fired.")
        starred = st.toggle("Starred", key="starred", bind="query-params", on_change=first_page)
        clearing = st.container(width="content")
    # Not in a popover: what is in a closed one is not drawn, and would bring its old values back after a Clear.
    with st.expander("More filters", icon=":material/tune:", key="more-filters"):
        more = _more()
    wanted = FeatureFilter(labels=None if labels == "Any" else labels.lower(), states=tuple(states),
                           text=text.strip(), starred=starred, **more)
    active = len(wanted.as_dict())
    clearing.button(f"Clear ({active})" if active else "Clear", key="clear", icon=":material/filter_alt_off:",
                    type="tertiary", on_click=clear, disabled=not active, help="Show all features again.")
    return wanted


def _more() -> dict:
    """The filters that are needed less often, as fields of a ``FeatureFilter``."""
    left, middle, right, last = st.columns(4)
    kind = left.selectbox("Kind", ("Any", *KINDS), key="kind", bind="query-params", on_change=first_page,
                          help="What sort of pattern the labeler says it is.")
    origin = middle.selectbox("Origin", ("Any", *ORIGINS), key="origin", bind="query-params", on_change=first_page,
                              help="Where the current label came from.")
    provider = right.selectbox("Provider", ("Any", *PROVIDERS), key="provider", bind="query-params",
                               on_change=first_page, help="What answered when the current label was asked for.")
    with last:
        above, below = score_range()
    columns = st.columns(4)
    low, high = _range(columns[:2], "Density, % of tokens", "density", 100.0)
    weakest, strongest = _range(columns[2:], "Maximum", "max", None)
    return {"kind": None if kind == "Any" else kind, "origin": ORIGINS.get(origin),
            "provider": None if provider == "Any" else provider, "score_above": above, "score_below": below,
            "min_density": None if low is None else low / 100, "max_density": None if high is None else high / 100,
            "min_activation": weakest, "max_activation": strongest}


def _range(columns: list, name: str, key: str, most: float | None) -> tuple[float | None, float | None]:
    """Two fields: at least, and at most; None where one is empty."""
    return tuple(column.number_input(
        f"{name}, {side}", 0.0, most, None, key=f"{key}_{side}", bind="query-params", format="%.4g", placeholder="any",
        on_change=first_page) for column, side in zip(columns, ("from", "to"), strict=True))


def score_range() -> tuple[float | None, float | None]:
    """A widget for the score, bound to the URL: at least, and less than; None where it does not filter."""
    low, high = st.select_slider("Score", list(SCORES), value=("0", "1"), key="score", bind="query-params",
                                 on_change=first_page,
                                 help="Of the label, on windows that no labeler saw: from the first value up to, but "
                                      "without, the second. Not filtered at 0 to 1.")
    return SCORES[low] or None, SCORES[high] if high != "1" else None


def set_ranges(density: tuple[float, float], maximum: tuple[float, float]) -> None:
    """Filter by these ranges (density as a fraction), as if they had been typed. Only before the widgets are drawn."""
    ranges = {"density": [100 * value for value in density], "max": maximum}
    for key, bounds in ranges.items():
        for side, bound in zip(("from", "to"), bounds, strict=True):
            st.session_state[f"{key}_{side}"] = float(f"{bound:.4g}")
    first_page()


def clear() -> None:
    """Take every filter away. Only before the widgets are drawn."""
    for key, unset in (FIRST | MORE).items():
        st.session_state[key] = unset
    first_page()


def first_page() -> None:
    """Other features are listed now, so their list starts from its beginning."""
    st.session_state["page"] = 1


def to_url(wanted: FeatureFilter) -> str:
    """The filter as one URL value; empty when nothing is filtered."""
    return urlencode({name: ",".join(value) if name == "states" else value
                      for name, value in wanted.as_dict().items() if name != "indices"})


def from_url(text: str) -> FeatureFilter:
    """The filter that ``to_url`` wrote.

    Raises:
        StoreError: the value is no such filter.
    """
    read = {"labels": str, "text": str, "kind": str, "origin": str, "provider": str, "min_density": _bound,
            "max_density": _bound, "min_activation": _bound, "max_activation": _bound, "score_above": _bound,
            "score_below": _bound, "states": lambda value: tuple(value.split(",")),
            "starred": lambda value: value == "True"}
    try:
        return FeatureFilter(**{name: read[name](value) for name, value in parse_qsl(text)})
    except (KeyError, ValueError) as error:
        raise StoreError("The filter in this address cannot be read.", "Set it again on the Browse page.") from error


def _bound(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("no bound")
    return value


def in_words(wanted: FeatureFilter) -> str:
    """The filter as a short phrase."""
    parts = [
        wanted.labels, " or ".join(wanted.states), wanted.text and f"with “{wanted.text}” in the label",
        wanted.kind and f"kind {wanted.kind}", wanted.origin and f"origin {origin_in_words(wanted.origin)}",
        wanted.provider and f"by {wanted.provider}",
        _between("density", wanted.min_density, wanted.max_density, "at most", lambda value: f"{100 * value:.4g}%"),
        _between("maximum", wanted.min_activation, wanted.max_activation, "at most", lambda value: f"{value:.4g}"),
        _between("score", wanted.score_above, wanted.score_below, "below", lambda value: f"{value:g}"),
        "starred" if wanted.starred else ""]
    return ", ".join(filter(None, parts)) or "all features"


def origin_in_words(origin: str | None) -> str:
    """Where a label came from, as it is shown; empty without one."""
    return next((name for name, value in ORIGINS.items() if value == origin), origin or "")


def _between(name: str, low: float | None, high: float | None, below: str, say: Callable[[float], str]) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f"{name} at least {say(low)}"
    return f"{name} {below} {say(high)}" if low is None else f"{name} {say(low)} to {say(high)}"
