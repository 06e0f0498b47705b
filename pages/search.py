"""Search: find features by label and explanation, by words and by meaning; and what fires on a text."""

import streamlit as st

from mistudio import background
from mistudio.errors import ModelError
from mistudio.label.answer import KINDS
from mistudio.search.query import Hit, search
from mistudio.search.vectors import ensure_vectors, waiting
from mistudio.settings import settings
from mistudio.store.engine import open_store, session
from mistudio.store.extractions import coverage
from mistudio.store.features import FeatureFilter
from mistudio.store.filtering import LONGEST_QUERY
from mistudio.ui.failing import show_error
from mistudio.ui.filters import FEATURE_STATES, score_range
from mistudio.ui.page import FIRES, Here, link, open_page
from mistudio.ui.setup import show_job
from mistudio.ui.tokens import chips_html, html_safe, markdown_safe
from mistudio.ui.turns import aside
from mistudio.ui.visiting import may_write

# Shown, and in the URL.
WAYS = ("Labels", FIRES)
LABELED = ("Any", "Unreviewed", "Approved", "Rejected", "Human")
EXAMPLES = ("math", "number", "code", "function")


def main(here: Here) -> None:
    way = st.segmented_control("Search for", WAYS, key="find", bind="query-params", default=WAYS[0], required=True,
                               label_visibility="collapsed")
    if way == FIRES:
        from mistudio.ui.firing import show_firing

        show_firing(here)
        return
    with session(here.engine) as work:
        labeled = coverage(work, here.id).labeled
    query = st.text_input("Search", key="q", bind="query-params", type="search", label_visibility="collapsed",
                          max_chars=LONGEST_QUERY,
                          placeholder="What should the feature be about? For example: dates in legal text",
                          help="Words, a meaning, or \"words in quotes\" that must be there just so.",
                          icon=":material/search:").strip()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Try", width="content")
        for word in EXAMPLES:
            st.button(word, key=f"try-{word}", on_click=fill, args=(word,))
    if not labeled:
        st.info("No feature has a label yet, so there is nothing to find.", icon=":material/info:")
        if may_write():
            link("pages/label.py", "Label some features", ":material/label:", extraction_id=here.id)
        return
    wanted = filters()
    if not query:
        st.caption(f"{labeled:,} labeled features can be found by their words, by their meaning and by the tokens they "
                   "fire on.")
    else:
        results(here, query, wanted)


def filters() -> FeatureFilter:
    """The widgets that narrow a search; each keeps its value in the URL."""
    labels, states, kind, score = st.columns([1.6, 2, 1.4, 2.4], vertical_alignment="bottom")
    wanted_labels = labels.selectbox("Label state", LABELED, key="labels", bind="query-params")
    wanted_states = states.multiselect("Feature state", FEATURE_STATES, key="state", bind="query-params",
                                       placeholder="Any")
    wanted_kind = kind.selectbox("Kind", ("Any", *KINDS), key="kind", bind="query-params",
                                 help="What sort of pattern the labeler says it is.")
    with score:
        above, below = score_range()
    return FeatureFilter(labels=None if wanted_labels == "Any" else wanted_labels.lower(), states=tuple(wanted_states),
                         kind=None if wanted_kind == "Any" else wanted_kind, score_above=above, score_below=below)


def fill(word: str) -> None:
    """Search for an example word."""
    st.session_state["q"] = word


def results(here: Here, query: str, wanted: FeatureFilter) -> None:
    hits = find(here, query, wanted)
    if not hits:
        st.info(f"Nothing fits “{markdown_safe(query)}”.", icon=":material/search_off:")
        st.caption("Try fewer filters." if wanted != FeatureFilter() else
                   "Try a more general word. Only labeled features can be found.")
        if may_write():
            link("pages/label.py", "Label more features", ":material/label:", extraction_id=here.id)
        return
    st.markdown(f"**{len(hits)} feature{'s' if len(hits) != 1 else ''}**, best match first")
    for hit in hits:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.html(f'<div class="ms-label" style="font-size:1.05rem">{html_safe(hit.label)}</div>'
                    f'<div class="ms-explanation">{html_safe(hit.explanation)}</div>'
                    f'<div class="ms-by">{html_safe(facts(hit))}</div>'
                    f'{chips_html((token, "") for token in hit.tokens)}')
            link("pages/browse.py", "Open", ":material/open_in_full:", extraction_id=here.id, f=hit.index)


def facts(hit: Hit) -> str:
    """Why it is a result, and what is known of it, on one line."""
    state = {"human": "by a person", "unreviewed": "not reviewed"}.get(hit.label_state, hit.label_state)
    parts = [f"Feature {hit.index:,}", f"found by {hit.why.replace(' + ', ', ')}", state]
    parts += [f"score {hit.quality:.2f}"] if hit.quality is not None else []
    return " · ".join([*parts, *([hit.kind] if hit.kind else []), *([hit.state] if hit.state != "live" else [])])


def find(here: Here, query: str, wanted: FeatureFilter) -> list[Hit]:
    """Hits by words and meaning; by words alone, and saying so, when the encoder cannot be loaded."""
    try:
        with aside("Searching"):
            found = search(here.engine, here.id, query, wanted=wanted)
            missing = waiting(here.engine, here.id)
    except ModelError as error:
        show_error(error)
        st.caption("Until then, only words are searched.")
        return search(here.engine, here.id, query, meaning=False, wanted=wanted)
    if missing:
        encode_rest(here, missing)
    return found


def encode_rest(here: Here, missing: int) -> None:
    """Say that labels cannot be found by their meaning yet, and offer to compute it in the background."""
    job = background.status()
    if job is not None:
        show_job(here.engine)
        return
    st.warning(f"{missing:,} labels are found by their words only: their meaning has not been computed yet.",
               icon=":material/hourglass:")
    if may_write() and st.button("Compute it in the background", icon=":material/play_arrow:"):
        url, extraction_id = settings().url, here.id

        def compute(progress: background.Progress) -> None:
            ensure_vectors(open_store(url), extraction_id, lambda done, total: progress(
                "Encoding labels", done / total, f"{done:,} of {total:,}"))

        background.start("Meaning of labels", compute)
        st.rerun()


with open_page("Search") as here:
    st.title("Search")
    main(here)
