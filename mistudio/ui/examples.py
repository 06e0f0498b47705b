"""A feature's examples: the strongest, or quarters of an unbiased sample from strong to weak."""

import numpy as np
import streamlit as st

from mistudio.store.examples import Examples
from mistudio.store.tables import Feature
from mistudio.ui import resources
from mistudio.ui.page import Here
from mistudio.ui.tokens import examples_html

MOST_SHOWN = 24
SHORT = 16  # tokens of a window that are shown unless all are asked for
# Shown in this order; the random sample's windows, sorted by strength, are cut into these quarters.
QUARTERS = ("75–100%", "50–75%", "25–50%", "0–25%")


def show_examples(here: Here, feature: Feature, *, key: str) -> None:
    """Highlighted windows, by strength, with short or whole windows."""
    examples = resources.examples_of(here.engine, feature)
    if examples is None or not len(examples):
        st.info("This feature never fired on the corpus, so there are no examples." if feature.state == "dead"
                else "No examples were kept for this feature.")
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        part = st.segmented_control(
            "Examples", ["Strongest", *QUARTERS], default="Strongest", required=True, key=f"examples-{key}",
            label_visibility="collapsed", persist_state="session")
        whole = st.toggle("Whole windows", key=f"whole-{key}", persist_state="session",
                          help=f"All {examples.tokens.shape[1]} stored tokens of each window, not only the "
                               f"{SHORT} around its strongest one.")
    chosen = strongest(examples) if part == "Strongest" else quarter(examples, QUARTERS.index(part))
    if not len(chosen):
        st.info("No windows of this sort were kept.")
        return
    strengths = chosen.strength()
    note = ("Where it fires most." if part == "Strongest" else
            f"A random sample of where it fires, {part} of it by strength: activation {strengths.min():.3g} to "
            f"{strengths.max():.3g}.")
    st.caption(f"{note} Number: strength, 0 to 10. Underlined: active, thicker is stronger. ·\u00a0space, "
               "↵\u00a0new\u00a0line.")
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    st.html(examples_html(chosen.take(np.arange(min(len(chosen), MOST_SHOWN))), feature.max_activation, vocabulary,
                          None if whole else SHORT))


def strongest(examples: Examples) -> Examples:
    """The top windows, strongest first; of features from elsewhere, which may have a sample alone, all of them."""
    top = examples.only(source="top")
    return _sorted(top if len(top) else examples)


def quarter(examples: Examples, number: int) -> Examples:
    """One quarter (0 is the strongest) of the random sample, strongest first."""
    sample = _sorted(examples.only(source="random"))
    return sample.take(np.array_split(np.arange(len(sample)), len(QUARTERS))[number])


def _sorted(examples: Examples) -> Examples:
    return examples.take((-examples.strength()).argsort(kind="stable"))
