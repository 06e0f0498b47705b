"""A feature to take along: its address, and all that matters of it as plain text."""

from urllib.parse import urlencode

import numpy as np
import streamlit as st

from mistudio.store.examples import Examples
from mistudio.store.tables import Feature, Label
from mistudio.ui import resources
from mistudio.ui.examples import SHORT, strongest
from mistudio.ui.page import Here
from mistudio.ui.tokens import around, readable, text_of, visible

TEXT_EXAMPLES = 8


def show_sharing(here: Here, feature: Feature, label: Label | None) -> None:
    """A button that opens the feature's address and text, each with an icon that copies it."""
    with st.popover("Copy", icon=":material/content_copy:", type="tertiary", on_change="rerun",
                    key=f"copy-{feature.id}") as opened:
        if not opened.open:
            return
        st.caption("Copy link, by the icon at its right:")
        st.code(feature_url(here, feature), language=None, wrap_lines=True)
        st.caption("Copy as text, by the icon at its right:")
        text = feature_text(here.extraction.name, feature, label, resources.examples_of(here.engine, feature),
                            resources.vocabulary(here.engine, here.extraction))
        st.code(text, language=None, wrap_lines=True, height=260)


def feature_url(here: Here, feature: Feature) -> str:
    """The address of the feature, without filters."""
    return f"{(st.context.url or '').split('?')[0]}?{urlencode({'x': here.id, 'f': feature.index})}"


def feature_text(name: str, feature: Feature, label: Label | None, examples: Examples | None,
                 vocabulary: list[str]) -> str:
    """Label, statistics and strongest examples as plain text, active tokens in «quotes».

    Args:
        name: of the extraction.
        vocabulary: the text of every token id.
    """
    lines = [f"Feature {feature.index} of {readable(name)}"]
    if label is not None:
        lines += [f"Label: {readable(label.text)}"]
        lines += [f"Explanation: {readable(label.explanation)}"] if label.explanation else []
    if feature.score is not None:
        lines.append(f"Score: {feature.score:.2f}")
    lines += [f"State: {feature.state}", f"Density: {100 * feature.density:.4g}% of tokens",
              f"Maximum activation: {feature.max_activation:.4g}"]
    for title, pairs in (("Most active tokens", feature.top_tokens), ("Promoted output tokens", feature.promoted),
                         ("Suppressed output tokens", feature.suppressed)):
        if pairs:
            lines.append(f"{title}: {'  '.join(visible(str(token)) for token, *_rest in pairs[:10])}")
    if examples is not None and len(examples):
        best = strongest(examples)
        lines.append("Strongest examples:")
        lines += [_window(best, row, vocabulary) for row in range(min(len(best), TEXT_EXAMPLES))]
    return "\n".join(lines)


def _window(examples: Examples, row: int, vocabulary: list[str]) -> str:
    tokens, activations = examples.tokens[row], examples.activations[row]
    shown = np.arange(len(tokens))[around(int(examples.peak[row]), len(tokens), SHORT)]
    words = [(f"«{visible(text_of(int(tokens[at]), vocabulary))}»" if activations[at] > 0
              else visible(text_of(int(tokens[at]), vocabulary))) for at in shown if tokens[at] >= 0]
    return f"- {float(examples.strength()[row]):.2f}: {''.join(words)}"
