"""One action on many labels of a queue: a count first, then a question, then one Undo for all of it."""

from dataclasses import replace

import streamlit as st

from mistudio.store.bulk import count_unjudged, unjudged_examples
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, count_features
from mistudio.ui import filters, judging
from mistudio.ui.failing import guard
from mistudio.ui.page import Here, link
from mistudio.ui.queue import Queue, begin
from mistudio.ui.tokens import markdown_safe

# What can be done, and the verdict it is.
VERDICTS = {"Approve": "approved", "Reject": "rejected"}
ANY = "any"
BOUNDS = [ANY, *(f"{tenths / 20:g}" for tenths in range(10, 20))]


def many_at_once(here: Here, queue: Queue) -> None:
    """Approve, reject or relabel what the queue holds, by score."""
    with st.expander("Many at once", icon=":material/done_all:", key="bulk", on_change="rerun") as opened:
        if not opened.open:
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            action = st.segmented_control("Action", [*VERDICTS, "Relabel"], key="bulk_action", default="Approve",
                                          required=True)
            above = action == "Approve"
            bound = st.selectbox("Score at least" if above else "Score below", BOUNDS, width=150,
                                 index=BOUNDS.index("0.8" if above else ANY), key=f"bulk_score_{action}",
                                 help="Of the label, on windows that no labeler saw. Any: also labels without a score.")
        limit = None if bound == ANY else float(bound)
        wanted = replace(queue.wanted, **_tighter(queue.wanted, limit, above=above))
        if action == "Relabel":
            _relabel(here, wanted)
        else:
            _judge(here, wanted, action, limit)


def _tighter(wanted: FeatureFilter, limit: float | None, *, above: bool) -> dict:
    """A bound of the score beside the one that the queue's own filter may have."""
    name, pick = ("score_above", max) if above else ("score_below", min)
    known = getattr(wanted, name)
    return {} if limit is None else {name: limit if known is None else pick(limit, known)}


def _judge(here: Here, wanted: FeatureFilter, action: str, limit: float | None) -> None:
    with session(here.engine) as work:
        count = count_unjudged(work, here.id, wanted)
        weakest = unjudged_examples(work, here.id, wanted) if count else []
    if not count:
        st.caption("No label of this queue that nobody has judged yet fits. " +
                   ("Labels without a score are left out." if limit is not None else ""))
        return
    st.markdown(f"**{count:,} label{'s' if count != 1 else ''}** of this queue that nobody has judged yet. Labels that "
                "a person wrote, approved or rejected stay as they are.")
    st.caption(markdown_safe("The weakest of them: " + " · ".join(
        f"{text} ({'no score' if score is None else f'{score:.2f}'})" for _index, text, score in weakest)))
    name = f"{action} {count:,} label{'s' if count != 1 else ''}"
    if st.button(name, icon=":material/done_all:", key="bulk_ask"):
        _ask(here, wanted, action, name)


@st.dialog("Are you sure?", icon=":material/done_all:")
def _ask(here: Here, wanted: FeatureFilter, action: str, name: str) -> None:
    st.markdown(f"{markdown_safe(name)}: {markdown_safe(filters.in_words(wanted))}. One Undo takes all of it back, as "
                "long as this browser session lasts.")
    with st.container(horizontal=True):
        done = st.button(name, type="primary", key="bulk_sure", on_click=_do, args=(here, wanted, VERDICTS[action]))
        left = st.button("Cancel", key="bulk_cancel")
    if done or left:
        st.rerun()


def _do(here: Here, wanted: FeatureFilter, verdict: str) -> None:
    with guard():
        count = judging.judge_all(here.engine, here.id, wanted, verdict)
        st.toast(f"{count:,} labels are {verdict} now. Undo takes it back.", icon=":material/done_all:")
        begin()


def _relabel(here: Here, wanted: FeatureFilter) -> None:
    if wanted.indices:
        st.caption("Features that failed are asked for again on the Label page, by Retry of their run.")
        link("pages/label.py", "Open the Label page", ":material/label:", extraction_id=here.id)
        return
    with session(here.engine) as work:
        count = count_features(work, here.id, wanted)
    st.markdown(f"**{count:,} feature{'s' if count != 1 else ''}** of this queue. Label shows what it takes and asks "
                "before it starts; labels that a person wrote or approved are kept.")
    if count:
        link("pages/label.py", f"Relabel {count:,} feature{'s' if count != 1 else ''}", ":material/label:",
             extraction_id=here.id, what="filter", only=filters.to_url(wanted))
