"""Features that belong beside one: nearest by decoder direction, and those with the same label."""

from collections.abc import Callable

import streamlit as st

from mistudio.store.engine import session
from mistudio.store.nearest import MOST_FEATURES, Near, load_nearest, same_label
from mistudio.store.tables import Feature, Label
from mistudio.ui.page import Here
from mistudio.ui.tokens import markdown_safe, visible

MOST_SAME = 24
LONGEST_TOKEN = 14  # characters


def show_related(here: Here, feature: Feature, label: Label | None, *, go: Callable[[int], None], key: str) -> None:
    """Both lists; ``go`` is called with the index of the feature that is chosen."""
    with session(here.engine) as work:
        nearest = load_nearest(work, feature)
        same = same_label(work, feature, MOST_SAME + 1) if label else []
    st.markdown("**Nearest by decoder direction**",
                help="Cosine of the decoder directions: near 1, both write nearly the same into the model; about 0, "
                     "they have nothing to do with each other.")
    if nearest is None:
        _unknown(here)
    with st.container(gap=None):
        for near in nearest or []:
            st.button(_named(near), key=f"near-{key}-{near.index}", type="tertiary", on_click=go, args=(near.index,))
    st.markdown("**Features with the same label**", help="Letter case aside.")
    if not same:
        st.caption("No other feature has this label." if label else "This feature has no label yet.")
        return
    with st.container(horizontal=True):
        for index in same[:MOST_SAME]:
            st.button(f"{index:,}", key=f"same-{key}-{index}", on_click=go, args=(index,))
    if len(same) > MOST_SAME:
        st.caption(f"The first {MOST_SAME}; there are more.")


def _named(near: Near) -> str:
    tokens = "  ".join(_short(visible(token)) for token in near.tokens[:5])
    text = f"**{markdown_safe(near.label)}**" if near.label else markdown_safe(tokens) or "it never fired"
    return f"{near.cosine:.2f} · {near.index:,} · {text}"


def _short(token: str) -> str:
    return token if len(token) <= LONGEST_TOKEN else f"{token[:LONGEST_TOKEN]}…"


def _unknown(here: Here) -> None:
    if here.extraction.d_sae > MOST_FEATURES:
        st.caption(f"Not known for this extraction: only up to {MOST_FEATURES:,} features are compared with each "
                   f"other, and it has {here.extraction.d_sae:,}.")
    else:
        st.caption("Not known for this extraction: it was imported, or made before this was computed. A new extraction "
                   "of the same model and SAE computes it at its end.")
