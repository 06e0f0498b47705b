"""The filter of features: as widgets bound to the URL, as one URL value to hand to another page, and in words."""

from urllib.parse import parse_qsl, urlencode

import streamlit as st

from mistudio.errors import StoreError
from mistudio.store.features import FeatureFilter

# What is shown is also what stands in the URL, so the shown words must not change.
LABEL_STATES = ("Any", "Unlabeled", "Labeled", "Unreviewed", "Approved", "Rejected", "Human", "Scored", "Unscored")
FEATURE_STATES = ("live", "rare", "dense", "dead")
# Fractions of tokens. Densities span many powers of ten, so the scale has steps instead of a straight line.
DENSITIES = {"0": 0.0, "0.0001%": 1e-6, "0.001%": 1e-5, "0.01%": 1e-4, "0.1%": 1e-3, "1%": 1e-2, "10%": 0.1,
             "100%": 1.0}
SORTS = {"Index": "index", "Density": "density", "Maximum": "max_activation", "Label": "label",
         "Confidence": "confidence", "Score": "score"}
SCORES = {"0": 0.0, "0.1": 0.1, "0.2": 0.2, "0.3": 0.3, "0.4": 0.4, "0.5": 0.5, "0.6": 0.6, "0.7": 0.7, "0.8": 0.8,
          "0.9": 0.9, "1": 1.0}


def filter_bar() -> FeatureFilter:
    """The widgets; each keeps its value in the URL."""
    text, labels, states, density, score, starred = st.columns([2.4, 1.8, 1.9, 2.3, 2, 1.4],
                                                               vertical_alignment="bottom")
    wanted_text = text.text_input("Text in label", key="text", bind="query-params", placeholder="for example: number",
                                  help="Part of a label or an explanation.", live="400ms")
    wanted_labels = labels.selectbox("Label state", LABEL_STATES, key="labels", bind="query-params",
                                     help="Unreviewed: labeled by a model, and nobody judged it yet. Human: written by "
                                          "a person. Unscored: labeled, and not measured yet.")
    wanted_states = states.multiselect("Feature state", FEATURE_STATES, key="state", bind="query-params",
                                       placeholder="Any",
                                       help="Live: useful to look at. Rare: fired too seldom to judge. Dense: active "
                                            "on a large share of all tokens. Dead: never fired.")
    low, high = density.select_slider("Density", list(DENSITIES), value=("0", "100%"), key="density",
                                      bind="query-params", help="Share of all tokens on which the feature is active.")
    with score:
        above, below = score_range()
    wanted_starred = starred.toggle("Starred", key="starred", bind="query-params")
    return FeatureFilter(
        labels=None if wanted_labels == "Any" else wanted_labels.lower(), states=tuple(wanted_states),
        text=wanted_text.strip(),
        min_density=DENSITIES[low] or None, max_density=DENSITIES[high] if high != "100%" else None,
        score_above=above, score_below=below, starred=wanted_starred)


def score_range() -> tuple[float | None, float | None]:
    """A widget for the score, bound to the URL: at least, and less than; None where it does not filter."""
    low, high = st.select_slider("Score", list(SCORES), value=("0", "1"), key="score", bind="query-params",
                                 help="Of the label, on windows that no labeler saw: from the first value up to, but "
                                      "without, the second. Not filtered at 0 to 1.")
    return SCORES[low] or None, SCORES[high] if high != "1" else None


def to_url(wanted: FeatureFilter) -> str:
    """The filter as one URL value; empty when nothing is filtered."""
    return urlencode({name: ",".join(value) if name == "states" else value
                      for name, value in wanted.as_dict().items() if name != "indices"})


def from_url(text: str) -> FeatureFilter:
    """The filter that ``to_url`` wrote.

    Raises:
        StoreError: the value is no such filter.
    """
    read = {"labels": str, "text": str, "kind": str, "min_density": float, "max_density": float,
            "min_activation": float, "score_above": float, "score_below": float,
            "states": lambda value: tuple(value.split(",")), "starred": lambda value: value == "True"}
    try:
        return FeatureFilter(**{name: read[name](value) for name, value in parse_qsl(text)})
    except (KeyError, ValueError) as error:
        raise StoreError("The filter in this address cannot be read.", "Set it again on the Browse page.") from error


def in_words(wanted: FeatureFilter) -> str:
    """The filter as a short phrase."""
    parts = []
    if wanted.labels:
        parts.append(wanted.labels)
    if wanted.states:
        parts.append(" or ".join(wanted.states))
    if wanted.text:
        parts.append(f"with “{wanted.text}” in the label")
    if wanted.min_density is not None:
        parts.append(f"density at least {100 * wanted.min_density:g}%")
    if wanted.max_density is not None:
        parts.append(f"density at most {100 * wanted.max_density:g}%")
    if wanted.score_above is not None:
        parts.append(f"score at least {wanted.score_above:g}")
    if wanted.score_below is not None:
        parts.append(f"score below {wanted.score_below:g}")
    if wanted.starred:
        parts.append("starred")
    return ", ".join(parts) or "all features"
