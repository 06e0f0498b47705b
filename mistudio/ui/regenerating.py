"""How a label is made again, and the labels that came of it side by side."""

from typing import NamedTuple

import streamlit as st

from mistudio.label.config import LabelConfig
from mistudio.store.engine import session
from mistudio.store.labels import history
from mistudio.store.scores import scores_of
from mistudio.store.tables import Feature, Label, Score
from mistudio.ui import judging
from mistudio.ui.failing import guard
from mistudio.ui.feature import provenance
from mistudio.ui.page import Here
from mistudio.ui.provider import Choice, choose_provider, in_words
from mistudio.ui.tokens import html_safe, markdown_safe
from mistudio.ui.turns import aside

MOST_CANDIDATES = 3


class Wish(NamedTuple):
    """What a person chose: who is asked, how many labels, from other examples or not, and with which hint."""

    choice: Choice
    candidates: int
    different: bool
    hint: str

    @property
    def config(self) -> LabelConfig:
        """As options of a job. Raises: MistudioError, when one is not valid."""
        return LabelConfig.checked(**self.choice.options(), candidates=self.candidates, hint=self.hint or None)

    @property
    def help(self) -> str:
        """What the button does, in a sentence."""
        asked = "a label" if self.candidates == 1 else f"{self.candidates} labels"
        return (f"Ask {in_words(self.choice)} for {asked}, based on "
                f"{'examples that earlier labels did not use' if self.different else 'the usual examples'}.")


def choose_how(feature: Feature) -> Wish:
    """The widgets. What is chosen stays for the session, but for the hint, which belongs to its feature."""
    with st.expander("How to regenerate", icon=":material/autorenew:"):
        candidates = st.segmented_control(
            "Labels to compare", range(1, MOST_CANDIDATES + 1), default=1, required=True, key="regenerate_candidates",
            persist_state="session", help="Each is based on windows of its own, and scored by its meaning on the same "
                                          "windows as the others.")
        different = st.toggle("Other examples than before", value=True, key="regenerate_different",
                              persist_state="session",
                              help="Leave out windows that earlier labels of this feature were based on.")
        place = st.container()
        choice = choose_provider(horizontal=False)
        embedded = choice.provider == "embedded"
        hint = place.text_input(
            "Hint", key=f"hint-{feature.id}", max_chars=300, disabled=embedded,
            placeholder="The embedded labeler understands no hint" if embedded else
            "for example: look at what comes right after",
            help="A sentence of yours that the model reads after the examples. It is stored with the label.")
    return Wish(choice, candidates, different, "" if embedded else hint.strip())


def regenerate(here: Here, feature: Feature, wish: Wish) -> None:
    """Ask, and remember what is to be shown side by side."""
    with aside(f"Asking {in_words(wish.choice)}"):
        made = judging.regenerate(here.engine, feature, wish.config, wish.choice.api_key, different=wish.different)
    st.session_state["proposals"] = made
    st.toast(markdown_safe(made.said), icon=":material/autorenew:")


def show_proposals(here: Here, feature: Feature) -> None:
    """The labels of the last regeneration of this feature beside each other; nothing where there was none."""
    made = st.session_state.get("proposals")
    if made is None or made.feature_id != feature.id:
        return
    with session(here.engine) as work:
        labels = {label.id: label for label in history(work, feature.id)}
        found = [(labels[label_id], scores_of(work, label_id)) for label_id in (made.before, *made.made)
                 if label_id in labels]
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**Choose a label**", width="content",
                        help="Scores: how well the label's meaning tells active from silent windows of the select "
                             "split (AUROC, 0.5 is guessing). The test split is not touched by choosing.")
            st.button("Close", icon=":material/close:", type="tertiary", on_click=_close)
        for number, (column, (label, scores)) in enumerate(zip(st.columns(len(found)), found, strict=True), 1):
            with column:
                st.caption("The one before" if label.id == made.before else "New")
                _candidate(here, feature, label, scores, number)
        if made.unscored:
            st.caption(f"Not every label has a score: {markdown_safe(made.unscored)}")


def _candidate(here: Here, feature: Feature, label: Label, scores: list[Score], number: int) -> None:
    tried = next((score.value for score in scores if (score.method, score.split) == ("embedding", "select")), None)
    hint = (label.evidence or {}).get("hint", "")
    st.html(f'<div class="ms-label" style="font-size:1.05rem">{html_safe(label.text)}</div>'
            f'<div class="ms-explanation">{html_safe(label.explanation)}</div>'
            f'<div class="ms-by">{"no score" if tried is None else f"score {tried:.2f}"} · '
            f'{html_safe(provenance(label))}'
            f'{f" · hint: {html_safe(hint)}" if hint else ""}</div>')
    if label.id == feature.label_id:
        st.badge("Current", color="green")
    else:
        st.button("Use this", key=f"choose-{label.id}", shortcut=str(number), on_click=_choose,
                  args=(here, feature, label.id))


def _choose(here: Here, feature: Feature, label_id: int) -> None:
    with guard():
        judging.choose(here.engine, feature, label_id)


def _close() -> None:
    st.session_state.pop("proposals", None)
