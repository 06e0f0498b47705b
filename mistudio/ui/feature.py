"""One feature as the pages show it: label, examples, statistics, history."""

from html import escape

import streamlit as st

from mistudio.label.adapters import labeler
from mistudio.store.engine import session
from mistudio.store.features import annotate
from mistudio.store.labels import history, point_to
from mistudio.store.scores import scores_of
from mistudio.store.tables import Feature, Label
from mistudio.ui import resources
from mistudio.ui.charts import histogram_chart
from mistudio.ui.page import Here, guard, link
from mistudio.ui.scores import scores_line, show_scores
from mistudio.ui.tokens import chips_html, examples_html, markdown_safe

MOST_SHOWN = 24


def label_html(label: Label | None) -> str:
    """The label, its explanation, and who gave it when."""
    if label is None:
        return '<div class="ms-label ms-none">No label yet</div>'
    explanation = f'<div class="ms-explanation">{escape(label.explanation)}</div>' if label.explanation else ""
    return (f'<div class="ms-label">{escape(label.text)}</div>{explanation}'
            f'<div class="ms-by">{escape(provenance(label))}</div>')


def provenance(label: Label) -> str:
    """Who gave a label, when, and what a person said of it."""
    by = {"human": f"Written by {label.author or 'a person'}", "import": "Imported",
          "statistics": "From statistics, nobody was asked",
          "llm": f"Labeled by {labeler(label.provider, label.model)}"}.get(label.origin, label.origin)
    parts = [f"{by}, {label.created_at:%d %b %Y %H:%M} UTC"]
    if label.confidence is not None:
        parts.append(f"its own confidence {100 * label.confidence:.0f}%")
    if label.verdict and label.origin != "human":
        parts.append(f"{label.verdict}{f' by {label.verdict_by}' if label.verdict_by else ''}")
    return " · ".join(parts)


def based_on(label: Label) -> str:
    """What a label was made from, where that is known."""
    evidence = label.evidence or {}
    parts = []
    if "examples" in evidence:
        parts.append(f"{len(evidence['examples'])} examples ({evidence['strategy']}, seed {evidence['seed']}) and "
                     f"{len(evidence.get('negatives', []))} silent windows")
    if evidence.get("revision"):
        parts.append(f"revised after {len(evidence['revision'])} misjudged windows")
    if label.prompt:
        parts.append(f"prompt {label.prompt} {label.prompt_hash[:8]}")
    return " · ".join([*parts, *filter(None, [evidence.get("note", "")])])


def facts(feature: Feature) -> str:
    """State and statistics on one line."""
    return (f"{feature.state.capitalize()} · active on {100 * feature.density:.3g}% of tokens · "
            f"maximum {feature.max_activation:.3g}")


def show_examples(here: Here, feature: Feature, *, key: str) -> None:
    """Highlighted windows: the strongest, or the unbiased sample from strong to weak."""
    examples = resources.examples_of(here.engine, feature)
    if examples is None or not len(examples):
        st.info("This feature never fired on the corpus, so there are no examples." if feature.state == "dead"
                else "No examples were kept for this feature.")
        return
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    shown = st.segmented_control("Examples", ["Strongest", "Across strengths"], default="Strongest", required=True,
                                 key=f"examples-{key}", label_visibility="collapsed")
    if shown == "Strongest":
        chosen = examples.only(source="top")
        note = "Where it fires most."
    else:
        chosen = examples.only(source="random")
        note = "A random sample of where it fires, strongest first."
    chosen = chosen.take((-chosen.strength()).argsort(kind="stable")[:MOST_SHOWN])
    st.caption(f"{note} Number: strength, 0 to 10. Underlined: active, thicker is stronger. ·\u00a0space, "
               "↵\u00a0new\u00a0line.")
    if len(chosen):
        st.html(examples_html(chosen, feature.max_activation, vocabulary))
    else:
        st.info("No windows of this sort were kept.")


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


def show_history(here: Here, feature: Feature, *, key: str) -> None:
    """Every label the feature ever had; any of them can be made current again."""
    with session(here.engine) as work:
        labels = history(work, feature.id)
        scores = {label.id: scores_of(work, label.id) for label in labels}
    if not labels:
        st.caption("No label has been given yet.")
    for label in labels:
        text, action = st.columns([5, 1.4], vertical_alignment="center")
        text.html(f'<b>{escape(label.text)}</b><div class="ms-small">{escape(provenance(label))}</div>'
                  f'<div class="ms-small">{escape(based_on(label))}</div>{scores_line(scores[label.id])}')
        if label.id == feature.label_id:
            action.badge("Current", color="green")
        elif action.button("Use this", key=f"use-{key}-{label.id}", help="Make this label current again."):
            with session(here.engine) as work:
                point_to(work, feature.id, label.id)
            st.rerun()


def show_notes(here: Here, feature: Feature, *, key: str) -> None:
    """Star and note. Both are written only when changed here, so that a page left open undoes nobody's work."""
    star_key, note_key = f"star-{key}-{feature.id}", f"note-{key}-{feature.id}"
    st.session_state[star_key], st.session_state[note_key] = feature.starred, feature.note
    st.toggle("Star", key=star_key, on_change=_annotate, args=(here, feature.id, "starred", star_key))
    st.text_area("Note", key=note_key, height=80, placeholder="Anything worth remembering about this feature",
                 on_change=_annotate, args=(here, feature.id, "note", note_key))


def _annotate(here: Here, feature_id: int, what: str, key: str) -> None:
    with guard(), session(here.engine) as work:
        annotate(work, feature_id, **{what: st.session_state[key]})


def show_feature(here: Here, feature: Feature, label: Label | None, *, key: str) -> None:
    """The whole detail of a feature."""
    st.html(label_html(label))
    st.caption(markdown_safe(facts(feature)))
    examples, numbers, scores, past, notes = st.tabs(["Examples", "Statistics", "Scores", "History", "Notes"])
    with examples:
        show_examples(here, feature, key=key)
    with numbers:
        show_statistics(feature, key=key)
    with scores:
        show_scores(here, label, key=key)
    with past:
        show_history(here, feature, key=key)
    with notes:
        show_notes(here, feature, key=key)
    link("pages/review.py", "Label or edit this in Review", ":material/rate_review:", extraction_id=here.id,
         f=feature.index)
