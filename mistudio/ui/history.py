"""Every label a feature ever had, with what changed from one to the next."""

from difflib import SequenceMatcher

import streamlit as st

from mistudio.label.adapters import labeler
from mistudio.settings import settings
from mistudio.store.engine import session
from mistudio.store.labels import history, point_to
from mistudio.store.scores import scores_of
from mistudio.store.tables import Feature, Label
from mistudio.ui.page import Here
from mistudio.ui.scores import scores_line
from mistudio.ui.tokens import html_safe
from mistudio.ui.visiting import may_write


def by_name(author: str) -> str:
    """Who wrote something. The public is not told the names, which are people's e-mail addresses."""
    return author if author and settings().access != "public" else "a person"


def provenance(label: Label) -> str:
    """Who gave a label, when, and what a person said of it."""
    by = {"human": f"Written by {by_name(label.author)}", "import": "Imported",
          "statistics": "From statistics, nobody was asked",
          "llm": f"Labeled by {labeler(label.provider, label.model)}"}.get(label.origin, label.origin)
    parts = [f"{by}, {label.created_at:%d %b %Y %H:%M} UTC"]
    if label.confidence is not None:
        parts.append(f"its own confidence {100 * label.confidence:.0f}%")
    if label.verdict and label.origin != "human":
        parts.append(f"{label.verdict}{f' by {by_name(label.verdict_by)}' if label.verdict_by else ''}")
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


def differences_html(before: str, after: str) -> str:
    """The later text, word by word: what went is struck out, what came is underlined."""
    old, new = before.split(), after.split()
    parts = []
    for change, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, came = (html_safe(" ".join(words)) for words in (old[old_from:old_to], new[new_from:new_to]))
        if change == "equal":
            parts.append(came)
        else:
            parts += [f"<{tag}>{words}</{tag}>" for tag, words in (("del", gone), ("ins", came)) if words]
    return " ".join(parts)


def show_history(here: Here, feature: Feature, *, key: str) -> None:
    """Every label, newest first; any of them can be made current again."""
    with session(here.engine) as work:
        labels = history(work, feature.id)
        scores = {label.id: scores_of(work, label.id) for label in labels}
    if not labels:
        st.caption("No label has been given yet.")
        return
    for label, before in zip(labels, [*labels[1:], None], strict=True):
        text, action = st.columns([5, 1.4], vertical_alignment="center")
        text.html(f'<b>{html_safe(label.text)}</b><div class="ms-small">{html_safe(provenance(label))}</div>'
                  f'<div class="ms-small">{html_safe(based_on(label))}</div>{scores_line(scores[label.id])}'
                  f'{_changed(before, label)}')
        if label.id == feature.label_id:
            action.badge("Current", color="green")
        elif may_write() and action.button("Use this", key=f"use-{key}-{label.id}",
                                           help="Make this label current again."):
            with session(here.engine) as work:
                point_to(work, feature.id, label.id)
            st.rerun()


def _changed(before: Label | None, label: Label) -> str:
    """What the label and its explanation changed against the one before, as HTML; empty for the first."""
    if before is None:
        return ""
    lines = [differences_html(old, new) for old, new in ((before.text, label.text),
                                                         (before.explanation, label.explanation)) if old != new]
    if not lines:
        return '<div class="ms-small">The same words as before.</div>'
    return f'<div class="ms-changes">{"<br>".join(lines)}</div>'
