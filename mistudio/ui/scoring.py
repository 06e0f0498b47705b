"""The form that starts a scoring run: who judges, which labels, what it takes."""

from functools import partial

import streamlit as st

from mistudio.jobs.estimate import estimate_scores
from mistudio.jobs.scoring import start_scores
from mistudio.score.config import ScoreConfig
from mistudio.ui.acting import ELSEWHERE, FORMS
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here
from mistudio.ui.provider import choose_provider
from mistudio.ui.selecting import choose_features
from mistudio.ui.starting import before_start, limits_apart

EXPLAINED = ("A score says how well a label tells windows where the feature is active from windows where it is silent. "
             "Only windows of the test split are used, which no labeler has seen. **Detection**: a judge reads the "
             "label and says which windows fit. **Fuzzing**: it says whether the right tokens are marked. Both are "
             "balanced accuracies: 0.5 is guessing, 1 is perfect. **Embedding** asks nobody: it is the chance that an "
             "active window is nearer to the label in meaning than a silent one. Beside each stands what labels of "
             "other features score on the same windows.")


def score_form(here: Here, *, busy: bool) -> str | None:
    """Show the form. Returns the judge's key, for runs to go on with."""
    _tab, role, key, offered = FORMS["score"]
    st.caption(EXPLAINED)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("1 · Who judges")
        choice = choose_provider(role=role, titled=False)
        st.subheader("2 · Which labels")
        wanted = choose_features(here, "labeled", offered, key=key)
        with st.expander("Options", icon=":material/tune:"):
            options = choose_options(ScoreConfig, leave_out=(*ELSEWHERE, *limits_apart(choice)))
    config = ScoreConfig.checked(**choice.options(), **options)
    with right:
        before_start(here, config, wanted, choice, verb="Score", busy=busy, estimating=partial(estimate_scores),
                     starting=start_scores)
    return choice.api_key
