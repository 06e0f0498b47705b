"""Review: go through labels beside their examples; edit, approve, reject, regenerate, undo."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mistudio.label.config import LabelConfig
from mistudio.store.engine import session
from mistudio.store.extractions import coverage
from mistudio.store.features import FeatureFilter, count_features, get_feature, neighbours
from mistudio.store.tables import Feature, Label
from mistudio.ui import judging
from mistudio.ui.feature import facts, label_html, show_examples, show_history, show_notes, show_statistics
from mistudio.ui.page import Here, feature_in_url, guard, link, open_page
from mistudio.ui.provider import choose_provider, in_words
from mistudio.ui.scores import show_scores
from mistudio.ui.tokens import markdown_safe

# Shown, and in the URL.
QUEUES = ("Unreviewed", "Labeled", "Rejected", "Unlabeled", "Failed")


def main(here: Here) -> None:
    queue = st.segmented_control("Queue", QUEUES, key="queue", bind="query-params", default=QUEUES[0],
                                 required=True, label_visibility="collapsed")
    with session(here.engine) as work:
        wanted = FeatureFilter(labels=queue.lower()) if queue != "Failed" else judging.failed_features(work, here.id)
        waiting = 0 if wanted is None else count_features(work, here.id, wanted)
        counts = coverage(work, here.id)
        index = feature_in_url()
        if index is None and waiting:
            index = neighbours(work, here.id, wanted, -1)[1]
    judged = counts.approved + counts.rejected
    st.progress(judged / max(counts.labeled + counts.rejected, 1),
                text=f"{judged:,} of {counts.labeled + counts.rejected:,} labels judged · {waiting:,} in this queue")
    if index is None:
        nothing_left(here, queue)
        return
    review(here, wanted if waiting else None, index)


def nothing_left(here: Here, queue: str) -> None:
    with st.container(border=True):
        st.subheader("Nothing waits in this queue")
        if judging.can_undo():
            st.button("Undo the last action", icon=":material/undo:", shortcut="U", on_click=undo, args=(here,))
        if queue == "Unreviewed":
            st.markdown("Every label was looked at, or nothing is labeled yet.")
            link("pages/label.py", "Label more features", ":material/label:", extraction_id=here.id)
        link("pages/browse.py", "Browse the features", ":material/view_list:", extraction_id=here.id)


def review(here: Here, wanted: FeatureFilter | None, index: int) -> None:
    with session(here.engine) as work:
        feature, label = get_feature(work, here.id, index)
        before, after, place = neighbours(work, here.id, wanted, index) if wanted else (None, None, 0)
    left, right = st.columns([5, 6], gap="large")
    with left:
        steps(here, before, after, place, index)
        with st.container(border=True):
            st.caption(f"Feature {feature.index:,} · {markdown_safe(facts(feature))}")
            st.html(label_html(label))
            row = actions(here, feature, label, after)
        edit(here, feature, label)
        with guard():
            regenerate(here, feature, label, row)
        with st.expander("History", icon=":material/history:"):
            show_history(here, feature, key="review")
        with st.expander("Star and note", icon=":material/star:"):
            show_notes(here, feature, key="review")
    with right:
        examples, scores, numbers = st.tabs(["Examples", "Scores", "Statistics"])
        with examples:
            show_examples(here, feature, key="review")
        with scores:
            show_scores(here, label, key="review")
        with numbers:
            show_statistics(feature, key="review")


def steps(here: Here, before: int | None, after: int | None, place: int, index: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Previous", icon=":material/chevron_left:", shortcut="P", disabled=before is None, on_click=go,
                  args=(before,))
        st.button("Next", icon=":material/chevron_right:", shortcut="N", disabled=after is None, on_click=go,
                  args=(after,))
        st.button("Undo", icon=":material/undo:", shortcut="U", disabled=not judging.can_undo(), on_click=undo,
                  args=(here,), help="Take back the last action of this session.")


def actions(here: Here, feature: Feature, label: Label | None, after: int | None) -> DeltaGenerator:
    """The buttons; returns their row, where ``regenerate`` adds its own."""
    row = st.container(horizontal=True)
    if label is not None:
        row.button("Approve", type="primary", icon=":material/check:", shortcut="A", on_click=judge,
                   args=(here, feature, "approved", after), disabled=label.verdict == "approved")
        row.button("Reject", icon=":material/close:", shortcut="X", on_click=judge,
                   args=(here, feature, "rejected", after), disabled=label.verdict == "rejected")
    return row


def edit(here: Here, feature: Feature, label: Label | None) -> None:
    name = "Edit the label" if label else "Write a label"
    with st.expander(name, icon=":material/edit:", expanded=label is None), st.form(f"edit-{feature.id}", border=False):
        # The label's id is in the keys, so that the fields start from the label that is current now.
        suffix = f"{feature.id}-{label.id if label else 0}"
        text = st.text_input("Label", value=label.text if label else "", key=f"text-{suffix}", max_chars=120,
                             placeholder="A short name, at most 8 words")
        explanation = st.text_area("Explanation", value=label.explanation if label else "", key=f"why-{suffix}",
                                   height=90)
        if st.form_submit_button("Save", icon=":material/save:"):
            judging.edit(here.engine, feature, text, explanation)
            st.toast("Saved as your own label.", icon=":material/check:")
            stay(feature)


def regenerate(here: Here, feature: Feature, label: Label | None, row: DeltaGenerator) -> None:
    with st.expander("Who regenerates", icon=":material/autorenew:"):
        choice = choose_provider(horizontal=False)
    if row.button("Regenerate" if label else "Label it", icon=":material/autorenew:", shortcut="G",
                  disabled=not choice.ready,
                  help=f"Ask {in_words(choice)} for a label, based on examples that earlier labels did not use."):
        with st.spinner(f"Asking {in_words(choice)}"):
            made = judging.regenerate(here.engine, here.id, feature, LabelConfig.checked(**choice.options()),
                                      choice.api_key)
        note = made.evidence.get("note", "")
        st.toast(markdown_safe(f"New label: {made.text}. {note}"), icon=":material/autorenew:")
        stay(feature)


def judge(here: Here, feature: Feature, verdict: str, after: int | None) -> None:
    with guard():
        judging.judge(here.engine, feature, verdict)
        go(after if after is not None else feature.index)


def undo(here: Here) -> None:
    with guard():
        go(judging.undo(here.engine))


def go(index: int | None) -> None:
    if index is not None:
        st.query_params["f"] = str(index)


def stay(feature: Feature) -> None:
    """Show the same feature again, although it may have left the queue."""
    go(feature.index)
    st.rerun()


with open_page("Review") as here:
    st.title("Review")
    main(here)
