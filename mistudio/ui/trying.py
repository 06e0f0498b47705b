"""One feature before all of them: the prompt it gets, and a trial that stores nothing unless its label is kept."""

import time
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from mistudio.errors import MistudioError, ReplyError
from mistudio.jobs.candidates import Made
from mistudio.jobs.labeling import keep, try_one
from mistudio.label.config import LabelConfig
from mistudio.label.one import preview
from mistudio.label.providers import IN_PROCESS, make_provider
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, get_feature, neighbours
from mistudio.store.tables import Feature, Label
from mistudio.ui import resources
from mistudio.ui.examples import strongest
from mistudio.ui.failing import guard, show_error
from mistudio.ui.feature import facts, label_html
from mistudio.ui.live import LONGEST_REPLY
from mistudio.ui.page import Here
from mistudio.ui.provider import Choice, choose_provider, in_words
from mistudio.ui.tokens import examples_html, markdown_safe, readable
from mistudio.ui.turns import aside
from mistudio.ui.visiting import may_write
from mistudio.ui.wording import HERE, dollars, duration, pays

HEIGHT = 430
MOST_SHOWN = 16
# Below this nobody wonders where the time went.
NOTICED = 1.0


@dataclass
class Trial:
    """What came of asking about one feature: ``made``, or an ``error`` before anyone was asked. ``seconds`` is how long
    it took, getting ready included; ``kept`` says that its label has been stored."""

    extraction_id: int
    index: int
    config: LabelConfig
    made: Made
    error: MistudioError | None
    seconds: float
    kept: bool = False


def tried_seconds(config: LabelConfig) -> float | None:
    """How long one answer took in this session's trial, if that asked the same model."""
    trial: Trial | None = st.session_state.get("trial")
    if config.provider in IN_PROCESS:  # many at a time are much quicker than one alone
        return None
    if trial is None or not trial.made.labels or (trial.config.provider, trial.config.model) != (
            config.provider, config.model):
        return None
    return trial.made.labels[-1][0].seconds


def try_first(here: Here, config: LabelConfig, wanted: FeatureFilter, choice: Choice,
              title: str = "Try one feature first") -> None:
    """The section; what is done in it does not draw the rest of the page again."""
    st.subheader(title)
    st.fragment(_trying)(here, config, wanted, choice)


def try_alone(here: Here) -> None:
    """All of the page, for those who may write nothing."""
    st.caption("Ask a model to name one feature, and hold the name against the feature's examples. Nothing is stored.")
    choice = choose_provider(titled=False)
    try_first(here, LabelConfig.checked(**choice.options()), FeatureFilter(), choice, "Try one feature")


def _trying(here: Here, config: LabelConfig, wanted: FeatureFilter, choice: Choice) -> None:
    with guard():
        index = _chosen(here, wanted)
        with session(here.engine) as work:
            feature, label = get_feature(work, here.id, index)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.number_input("Feature", min_value=0, max_value=here.extraction.d_sae - 1, key="trial_feature", width=150)
            st.button("Another", icon=":material/skip_next:", on_click=_another, args=(here, wanted))
            asked = st.button("Try it", icon=":material/science:", disabled=not choice.ready,
                              help=f"Ask {in_words(choice)} about this feature, with the options above. Nothing is "
                                   "stored." if choice.ready else choice.missing.replace("to start", "first"))
        if asked:
            with aside(f"Asking {in_words(choice)}"):
                st.session_state["trial"] = _ask(here, index, config, choice)
            st.rerun(scope="app")  # the estimate knows more now
        left, right = st.columns(2, gap="medium")
        with left.container(height=HEIGHT):
            _examples(here, feature, label)
        with right.container(height=HEIGHT):
            view = st.segmented_control("Show", ["Answer", "Prompt"], key="trial_view", default="Answer", required=True,
                                        label_visibility="collapsed")
            if view == "Prompt":
                st.caption("What is sent, word for word. It follows every option above.")
                st.code(readable(preview(here.engine, feature.id, config).text), language=None, wrap_lines=True)
            else:
                _answer(here, index, config)


def _usable(wanted: FeatureFilter) -> FeatureFilter:
    """Those of the features that have something to show."""
    return wanted if wanted.states else replace(wanted, states=("live", "dense"))


def _chosen(here: Here, wanted: FeatureFilter) -> int:
    """The feature to try: the first of those that are to be labeled, until another is chosen."""
    of = (here.id, wanted)
    if st.session_state.get("trial_feature") is None or st.session_state.get("trial_of") != of:
        st.session_state["trial_of"] = of
        with session(here.engine) as work:
            st.session_state["trial_feature"] = neighbours(work, here.id, _usable(wanted), -1)[1] or 0
    return int(st.session_state["trial_feature"])


def _another(here: Here, wanted: FeatureFilter) -> None:
    """Go on to the next one, and from the last to the first."""
    with guard(), session(here.engine) as work:
        for after in (st.session_state["trial_feature"], -1):
            following = neighbours(work, here.id, _usable(wanted), after)[1]
            if following is not None:
                st.session_state["trial_feature"] = following
                return


def _ask(here: Here, index: int, config: LabelConfig, choice: Choice) -> Trial:
    started = time.monotonic()
    made, error = Made(), None
    try:
        provider = make_provider(config, choice.api_key)
        try:
            made = try_one(here.engine, here.id, index, config, provider)
        finally:
            provider.close()
    except MistudioError as found:
        error = found
    return Trial(here.id, index, config, made, error or made.error, time.monotonic() - started)


def _examples(here: Here, feature: Feature, label: Label | None) -> None:
    st.caption(f"Feature {feature.index:,} · {markdown_safe(facts(feature))}"
               + (f" · now: {markdown_safe(label.text)}" if label else ""))
    examples = resources.examples_of(here.engine, feature)
    if examples is None or not len(examples):
        st.info("There are no examples of this feature, so nobody can name it. Try another.", icon=":material/info:")
        return
    top = strongest(examples)
    shown = top.take(np.arange(min(len(top), MOST_SHOWN)))
    st.html(examples_html(shown, feature.max_activation, resources.vocabulary(here.engine, here.extraction)))


def _answer(here: Here, index: int, config: LabelConfig) -> None:
    trial: Trial | None = st.session_state.get("trial")
    if trial is None or (trial.extraction_id, trial.index) != (here.id, index):
        stored = "Nothing is stored unless you keep the label." if may_write() else "Nothing is stored."
        st.info("Try it, and the label, what it cost and the raw reply stand here beside the examples. " + stored,
                icon=":material/science:")
        return
    if not trial.made.labels:
        show_error(trial.error)
        if isinstance(trial.error, ReplyError):
            _reply(trial.made.total.reply)
        return
    chosen = trial.made.kept or trial.made.labels[-1][0]
    st.html(label_html(chosen))
    st.markdown(_used(trial, chosen))
    if trial.config != config:
        st.caption("The options have changed since: try again to see what they do.")
    if trial.kept:
        st.caption("Kept. It is in the feature's history, and current unless a person's label is.")
    elif may_write() and st.button("Keep this label", icon=":material/save:", disabled=trial.made.kept is not None):
        keep(here.engine, trial.made, trial.config)
        trial.kept = True
        st.rerun(scope="app")
    _reply(chosen.reply)


def _used(trial: Trial, label: Label) -> str:
    """Time, tokens and cost in one paragraph."""
    if label.origin == "statistics":
        return "Named by its statistics; nobody was asked."
    total = trial.made.total
    parts = [f"Time: {duration(trial.seconds)}"]
    if label.seconds is not None and trial.seconds - label.seconds > NOTICED:
        parts = [f"{parts[0]}, of which the answer took {duration(label.seconds)}"]
    if total.prompt_tokens is not None:
        parts.append(f"Tokens: {total.prompt_tokens:,} of the prompt, {total.completion_tokens or 0:,} of the answer")
    cost = HERE if not pays(trial.config) else "unknown price" if trial.made.cost is None else dollars(trial.made.cost)
    return "  \n".join(map(markdown_safe, [*parts, f"Cost: {cost}"]))


def _reply(reply: str) -> None:
    st.caption("Raw reply" if reply else "The reply was empty.")
    if reply:
        st.code(readable(reply[:LONGEST_REPLY]), language=None, wrap_lines=True)
