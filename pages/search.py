"""Search: find features by label and explanation, by words and by meaning."""

from html import escape

import streamlit as st

from mistudio.errors import ModelError
from mistudio.search.query import Hit, search
from mistudio.store.engine import session
from mistudio.store.extractions import coverage
from mistudio.store.features import FeatureFilter, list_features
from mistudio.ui.page import Here, link, open_page, show_error
from mistudio.ui.tokens import chips_html, markdown_safe

EXAMPLES = ("math", "number", "code", "function")


def main(here: Here) -> None:
    with session(here.engine) as work:
        labeled = coverage(work, here.id).labeled
    query = st.text_input("Search", key="q", bind="query-params", type="search", label_visibility="collapsed",
                          placeholder="What should the feature be about? For example: dates in legal text",
                          icon=":material/search:").strip()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Try", width="content")
        for word in EXAMPLES:
            st.button(word, key=f"try-{word}", on_click=fill, args=(word,))
    if not labeled:
        st.info("No feature has a label yet, so there is nothing to find.", icon=":material/info:")
        link("pages/label.py", "Label some features", ":material/label:", extraction_id=here.id)
    elif not query:
        st.caption(f"{labeled:,} labeled features can be found by their words and by their meaning.")
    else:
        results(here, query)


def fill(word: str) -> None:
    """Search for an example word."""
    st.session_state["q"] = word


def results(here: Here, query: str) -> None:
    hits = find(here, query)
    if not hits:
        st.info(f"Nothing fits “{markdown_safe(query)}”.", icon=":material/search_off:")
        st.caption("Try a more general word. Only labeled features can be found.")
        link("pages/label.py", "Label more features", ":material/label:", extraction_id=here.id)
        return
    st.markdown(f"**{len(hits)} feature{'s' if len(hits) != 1 else ''}**, best match first")
    with session(here.engine) as work:
        found = list_features(work, here.id, FeatureFilter(indices=tuple(hit.index for hit in hits)), limit=None)
    features = {feature.index: feature for feature, _label in found}
    for hit in hits:
        with st.container(border=True):
            text, action = st.columns([6, 1.2], vertical_alignment="center")
            feature = features.get(hit.index)
            tokens = feature.top_tokens[:8] if feature else []
            with text:
                st.html(f'<div class="ms-label" style="font-size:1.05rem">{escape(hit.label)}</div>'
                        f'<div class="ms-explanation">{escape(hit.explanation)}</div>'
                        f'<div class="ms-by">Feature {hit.index:,} · found by '
                        f'{escape(hit.why.replace(" + ", ", "))}</div>'
                        f'{chips_html((token, "") for token, *_rest in tokens)}')
            with action:
                link("pages/browse.py", "Open", ":material/open_in_full:", extraction_id=here.id, f=hit.index)


def find(here: Here, query: str) -> list[Hit]:
    """Hits by words and meaning; by words alone, and saying so, when the encoder cannot be loaded."""
    try:
        with st.spinner("Searching"):
            return search(here.engine, here.id, query)
    except ModelError as error:
        show_error(error)
        st.caption("Until then, only words are searched.")
        return search(here.engine, here.id, query, meaning=False)


with open_page("Search") as here:
    st.title("Search")
    main(here)
