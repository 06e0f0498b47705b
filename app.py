"""Home: which extraction, what is in it, and what to do next."""

import streamlit as st

from mistudio.store.counts import mean_score
from mistudio.store.engine import session
from mistudio.store.extractions import Coverage, coverage
from mistudio.store.tables import Extraction
from mistudio.ui.comparing import compare
from mistudio.ui.managing import described, manage
from mistudio.ui.page import Here, link, open_page
from mistudio.ui.quality_charts import coverage_chart
from mistudio.ui.scores import show_quality
from mistudio.ui.setup import offer_demo, offer_extraction, show_job
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.visiting import may_write

STATES = {"live": "useful to look at", "rare": "fired too seldom to judge",
          "dense": "active on a large share of tokens", "dead": "never fired"}


def empty_home(here: Here) -> None:
    st.title("Name what a language model has learned")
    text = st.container(width=760)
    text.markdown("A sparse autoencoder (SAE) turns a model's activations into thousands of features. mistudio "
                  "collects the texts on which each feature fires, asks a language model to name the pattern, and lets "
                  "you check, correct and search the names.")
    with text:
        if show_job(here.engine):
            return
        if not may_write():
            st.info("The owner of this server has put nothing here yet.", icon=":material/info:")
            return
        with st.container(border=True):
            offer_demo()
        offer_extraction(here.engine)


def full_home(here: Here, extraction: Extraction) -> None:
    st.title(markdown_safe(extraction.name))
    st.caption(markdown_safe(described(extraction)))
    working = show_job(here.engine)
    views = [name for name in VIEWS if name not in FOR_WRITERS or may_write()]
    view = st.segmented_control("View", views, key="view", bind="query-params", default="Overview",
                                required=True, label_visibility="collapsed")
    VIEWS[view](here)
    if view == "Overview" and not working and may_write():
        offer_extraction(here.engine)


def overview(here: Here) -> None:
    with session(here.engine) as work:
        counts = coverage(work, here.id)
        mean, scored = mean_score(work, here.id)
    numbers = st.columns(4)
    share = 100 * counts.labeled / counts.labelable if counts.labelable else 0
    numbers[0].metric("Features", f"{counts.features:,}", border=True, height="stretch")
    numbers[1].metric("Labeled", f"{counts.labeled:,}", f"{share:.0f}% of {counts.labelable:,}", delta_color="off",
                      delta_arrow="off", border=True, height="stretch", help="The share is of features that are "
                      "neither dead nor rare.")
    numbers[2].metric("Approved by a person", f"{counts.approved:,}", f"{counts.rejected:,} rejected",
                      delta_color="off", delta_arrow="off", border=True, height="stretch")
    numbers[3].metric("Mean score", "–" if mean is None else f"{mean:.2f}", f"{scored:,} labels scored",
                      delta_color="off", delta_arrow="off", border=True, height="stretch",
                      help="Of current labels, on windows no labeler saw: detection, else fuzzing, else embedding.")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.plotly_chart(coverage_chart(counts), key="coverage", config={"displayModeBar": False})
        st.markdown("  \n".join(f"**{count:,}** {state}: {STATES.get(state, '')}"
                                for state, count in sorted(counts.states.items(), key=lambda item: -item[1])))
    with right, st.container(border=True):
        next_step(counts, here.id)
    show_quality(here)


def next_step(counts: Coverage, extraction_id: int) -> None:
    st.subheader("Next step")
    waiting = counts.labeled - counts.approved
    if not may_write():
        st.markdown("Look at the features, or let a language model name one, with a key of your own.")
        link("pages/browse.py", "Browse the features", ":material/view_list:", extraction_id=extraction_id)
        link("pages/label.py", "Try one feature", ":material/science:", extraction_id=extraction_id)
        if counts.labeled:
            link("pages/search.py", "Search the features", ":material/search:", extraction_id=extraction_id)
        return
    if not counts.labeled:
        st.markdown("No feature has a name yet. Look at a few, then let a language model name them.")
        link("pages/label.py", "Label the features", ":material/label:", extraction_id=extraction_id)
        link("pages/browse.py", "Browse them first", ":material/view_list:", extraction_id=extraction_id)
        return
    if waiting:
        st.markdown(f"Labels that no person has looked at: {waiting:,}. Check whether they fit their examples.")
        link("pages/review.py", "Review the labels", ":material/rate_review:", extraction_id=extraction_id)
    if counts.labeled < counts.labelable:
        st.markdown(f"Features that still wait for a name: {counts.labelable - counts.labeled:,}.")
        link("pages/label.py", "Label the rest", ":material/label:", extraction_id=extraction_id)
    st.markdown("Look something up by its meaning.")
    link("pages/search.py", "Search the features", ":material/search:", extraction_id=extraction_id)


# Shown, and in the URL.
VIEWS = {"Overview": overview, "Compare": compare, "Manage": manage}
FOR_WRITERS = ("Manage",)

with open_page("Home", needs_extraction=False) as here:
    if here.extraction is None:
        empty_home(here)
    else:
        full_home(here, here.extraction)
