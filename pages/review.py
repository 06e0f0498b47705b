"""Review: go through labels beside their examples; edit, approve, reject, regenerate, undo."""

import streamlit as st

from mistudio.store.engine import session
from mistudio.store.extractions import coverage
from mistudio.store.features import annotate, count_features, get_feature
from mistudio.store.tables import Feature, Label
from mistudio.ui import judging
from mistudio.ui.bulk import many_at_once
from mistudio.ui.editing import edit_form, start_editing
from mistudio.ui.failing import guard
from mistudio.ui.feature import facts, label_html, show_examples, show_history, show_note, show_statistics
from mistudio.ui.page import Here, feature_in_url, link, link_to_firing, open_page
from mistudio.ui.queue import Queue, begin, choose_queue, walk
from mistudio.ui.regenerating import Wish, choose_how, regenerate, show_proposals
from mistudio.ui.scores import show_scores
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.visiting import may_write

# From here on a density, or a difference between judges, is a reason to look.
HIGH_DENSITY, FAR_APART, LOW_SCORE = 0.01, 0.15, 0.7


def main(here: Here) -> None:
    queue = choose_queue(here)
    with session(here.engine) as work:
        waiting = 0 if queue.wanted is None else count_features(work, here.id, queue.wanted)
        counts = coverage(work, here.id)
        index = feature_in_url()
        if index is None and waiting:
            index = queue.first(work, here.id)
            go(index)  # it sinks in the queue once it is open, and is to stay in view
    judged = counts.approved + counts.rejected
    st.progress(judged / max(counts.labeled + counts.rejected, 1),
                text=f"{judged:,} of {counts.labeled + counts.rejected:,} labels judged · {waiting:,} in this queue")
    if index is None:
        nothing_left(here, queue, counts.labeled + counts.rejected)
        return
    review(here, queue, index, waiting)


def nothing_left(here: Here, queue: Queue, labeled: int) -> None:
    with st.container(border=True):
        st.subheader("Nothing waits in this queue")
        if judging.can_undo():
            st.button("Undo the last action", icon=":material/undo:", shortcut="U", on_click=undo, args=(here,))
        if queue.name == "Unreviewed":
            st.markdown("Every label has been judged." if labeled else "Nothing is labeled yet.")
            link("pages/label.py", "Label more features" if labeled else "Label some features", ":material/label:",
                 extraction_id=here.id)
        link("pages/browse.py", "Browse the features", ":material/view_list:", extraction_id=here.id)


def review(here: Here, queue: Queue, index: int, waiting: int) -> None:
    with session(here.engine) as work:
        feature, label = get_feature(work, here.id, index)
        before, after = walk(work, here, queue, index, waiting=waiting)
        new = not feature.seen
        if new:
            annotate(work, feature.id, seen=True)
    tools = st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="review-tools")
    show_proposals(here, feature)
    left, right = st.columns([5, 6], gap="large")
    with left:
        with st.container(border=True):
            st.caption(f"Feature {feature.index:,} · {markdown_safe(facts(feature))}")
            st.html(label_html(label))
            if label is not None and not label.verdict:
                st.caption(markdown_safe(reasons(feature, new=new)))
            link_to_firing(here, feature.index)
        edit_form(here, feature, label)
        wish = None
        with guard():
            wish = choose_how(feature)
        with st.expander("History", icon=":material/history:", key="review-history", on_change="rerun") as past:
            if past.open:
                show_history(here, feature, key="review")
        with st.expander("Note", icon=":material/edit_note:"):
            show_note(here, feature, key="review")
        if waiting:
            many_at_once(here, queue)
    with right:
        evidence(here, feature, label)
    with tools:
        steps(before, after)
        actions(here, feature, label, after, wish)


def reasons(feature: Feature, *, new: bool) -> str:
    """Why a person should look at it, in words."""
    found = ["nobody has opened it yet"] if new else []
    if feature.score is None:
        found.append("its label has no score")
    elif feature.score < LOW_SCORE:
        found.append(f"its label scores only {feature.score:.2f}")
    if feature.density >= HIGH_DENSITY:
        found.append(f"it is active on {100 * feature.density:.2g}% of all tokens")
    if feature.disagreement is not None and feature.disagreement >= FAR_APART:
        found.append(f"detection and fuzzing are {feature.disagreement:.2f} apart")
    return f"Worth a look: {', '.join(found)}." if found else f"Its label scores {feature.score:.2f}."


def evidence(here: Here, feature: Feature, label: Label | None) -> None:
    """What the label is to be held against; only the open tab is worked out."""
    examples, scores, numbers = st.tabs(["Examples", "Scores", "Statistics"], key="review-tab", on_change="rerun")
    if examples.open:
        with examples:
            show_examples(here, feature, key="review")
    if scores.open:
        with scores:
            show_scores(here, label, key="review")
    if numbers.open:
        with numbers:
            show_statistics(feature, key="review")


def steps(before: int | None, after: int | None) -> None:
    st.button("Previous", icon=":material/chevron_left:", shortcut="P", disabled=before is None, on_click=go,
              args=(before,))
    st.button("Next", icon=":material/chevron_right:", shortcut="N", disabled=after is None, on_click=go,
              args=(after,))


def actions(here: Here, feature: Feature, label: Label | None, after: int | None, wish: Wish | None) -> None:
    if label is not None:
        st.button("Approve", type="primary", icon=":material/check:", shortcut="A", on_click=judge,
                  args=(here, feature, label, "approved", after), disabled=label.verdict == "approved")
        st.button("Reject", icon=":material/close:", shortcut="X", on_click=judge,
                  args=(here, feature, label, "rejected", after), disabled=label.verdict == "rejected")
    st.button("Edit", icon=":material/edit:", shortcut="E", on_click=start_editing, args=(feature,))
    asked = st.button("Regenerate" if label else "Label it", icon=":material/autorenew:", shortcut="G",
                      disabled=wish is None or not wish.choice.ready, help=wish.help if wish else None)
    st.button("Unstar" if feature.starred else "Star", icon=":material/star:", shortcut="S", on_click=star,
              args=(here, feature))
    st.button("Undo", icon=":material/undo:", shortcut="U", disabled=not judging.can_undo(), on_click=undo,
              args=(here,), help="Take back the last action of this session.")
    if asked:
        regenerate(here, feature, wish)
        stay(feature)


def judge(here: Here, feature: Feature, label: Label, verdict: str, after: int | None) -> None:
    with guard():
        judging.judge(here.engine, feature, label.id, verdict)
        go(after if after is not None else feature.index)


def star(here: Here, feature: Feature) -> None:
    with guard(), session(here.engine) as work:
        annotate(work, feature.id, starred=not feature.starred)


def undo(here: Here) -> None:
    with guard():
        undone = judging.undo(here.engine)
        if undone is not None:
            st.toast(markdown_safe(undone.said), icon=":material/undo:")
            if undone.index is None:
                begin()
            go(undone.index)


def go(index: int | None) -> None:
    if index is not None:
        st.query_params["f"] = str(index)


def stay(feature: Feature) -> None:
    """Show the same feature again, although it may have left the queue."""
    go(feature.index)
    st.rerun()


with open_page("Review") as here:
    st.title("Review")
    if may_write():
        main(here)
    else:
        st.info("Here labels are judged and edited, which you may not do on this server. Browse shows them all.",
                icon=":material/lock:")
        link("pages/browse.py", "Browse the features", ":material/view_list:", extraction_id=here.id,
             f=feature_in_url())
