"""One feature as the pages show it: label, examples, statistics, scores, history, related features, note and star."""

from collections.abc import Callable

import streamlit as st

from mistudio.store.engine import session
from mistudio.store.features import LONGEST_NOTE, annotate
from mistudio.store.tables import Feature, Label
from mistudio.ui.charts import histogram_chart
from mistudio.ui.examples import show_examples
from mistudio.ui.failing import guard
from mistudio.ui.history import provenance, show_history
from mistudio.ui.page import Here, link, link_to_firing
from mistudio.ui.related import show_related
from mistudio.ui.scores import show_scores
from mistudio.ui.tokens import chips_html, html_safe, markdown_safe
from mistudio.ui.visiting import may_write, names_shown

TABS = ("Examples", "Statistics", "Scores", "History", "Related", "Note")


def label_html(label: Label | None) -> str:
    """The label, its explanation, and who gave it when."""
    if label is None:
        return '<div class="ms-label ms-none">No label yet</div>'
    explanation = f'<div class="ms-explanation">{html_safe(label.explanation)}</div>' if label.explanation else ""
    return (f'<div class="ms-label">{html_safe(label.text)}</div>{explanation}'
            f'<div class="ms-by">{html_safe(provenance(label))}</div>')


def facts(feature: Feature) -> str:
    """State and statistics on one line."""
    return (f"{feature.state.capitalize()} · active on {100 * feature.density:.3g}% of tokens · "
            f"maximum {feature.max_activation:.3g}")


def show_statistics(feature: Feature, *, key: str) -> None:
    """Histogram, most active tokens, and the output tokens it promotes and suppresses."""
    if feature.histogram:
        st.plotly_chart(histogram_chart(feature), key=f"histogram-{key}", config={"displayModeBar": False})
    if feature.top_tokens:
        st.markdown("**Most active tokens**", help="Tokens on which it fires most often, with how often.")
        st.html(chips_html((token, f"{count:,}×") for token, count, *_rest in feature.top_tokens[:12]))
    for title, pairs, meaning in (("Promoted output tokens", feature.promoted, "makes likelier"),
                                  ("Suppressed output tokens", feature.suppressed, "makes less likely")):
        if pairs:
            st.markdown(f"**{title}**", help=f"Next tokens that this feature {meaning}, with the change of their logit "
                                             "(its decoder direction through the unembedding).")
            st.html(chips_html((token, f"{weight:+.2f}") for token, weight in pairs[:12]))


def show_star(here: Here, feature: Feature, *, key: str) -> None:
    """Written only when changed here, so that a page left open undoes nobody's work."""
    key = f"star-{key}-{feature.id}"
    st.session_state[key] = feature.starred
    st.toggle("Star", key=key, disabled=not may_write(), on_change=_annotate, args=(here, feature.id, "starred", key))


def show_note(here: Here, feature: Feature, *, key: str) -> None:
    """As ``show_star``."""
    key = f"note-{key}-{feature.id}"
    st.session_state[key] = feature.note
    st.text_area("Note", key=key, height=120, max_chars=LONGEST_NOTE, disabled=not may_write(), on_change=_annotate,
                 args=(here, feature.id, "note", key), placeholder="Anything worth remembering about this feature")
    if feature.note and feature.noted_by and names_shown():
        st.caption(f"Written by {markdown_safe(feature.noted_by)}")


def _annotate(here: Here, feature_id: int, what: str, key: str) -> None:
    with guard(), session(here.engine) as work:
        annotate(work, feature_id, **{what: st.session_state[key]})


def show_feature(here: Here, feature: Feature, label: Label | None, *, go: Callable[[int], None], key: str) -> None:
    """The whole detail of a feature; only the open tab is worked out. ``go`` opens another feature."""
    st.html(label_html(label))
    st.caption(markdown_safe(facts(feature)))
    with st.container(horizontal=True):
        if may_write():
            link("pages/review.py", "Label or edit this in Review", ":material/rate_review:", extraction_id=here.id,
                 f=feature.index)
        link_to_firing(here, feature.index)
    examples, numbers, scores, past, related, note = st.tabs(TABS, key="tab", bind="query-params")
    if examples.open:
        with examples:
            show_examples(here, feature, key=key)
    if numbers.open:
        with numbers:
            show_statistics(feature, key=key)
    if scores.open:
        with scores:
            show_scores(here, label, key=key)
    if past.open:
        with past:
            show_history(here, feature, key=key)
    if related.open:
        with related:
            show_related(here, feature, label, go=go, key=key)
    if note.open:
        with note:
            show_note(here, feature, key=key)
