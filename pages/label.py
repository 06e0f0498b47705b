"""Label: choose who labels (or scores) which features, see what it takes, start, and watch the results land.

Distil makes a labeler of one's own from the labels.
"""

from functools import partial

import streamlit as st

from mistudio.jobs.estimate import estimate
from mistudio.jobs.labeling import start_run
from mistudio.label.config import LabelConfig
from mistudio.label.prompts.templates import USUAL, label_templates
from mistudio.store.engine import session
from mistudio.store.tables import Run
from mistudio.ui.acting import ELSEWHERE, FORMS
from mistudio.ui.distilling import distill_form
from mistudio.ui.failing import show_error
from mistudio.ui.live import show_live
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here, open_page
from mistudio.ui.past import past_runs
from mistudio.ui.provider import choose_provider
from mistudio.ui.running import active_run
from mistudio.ui.scoring import score_form
from mistudio.ui.selecting import choose_features
from mistudio.ui.starting import before_start, limits_apart
from mistudio.ui.trying import tried_seconds, try_alone, try_first
from mistudio.ui.visiting import may_write

# Shown, and in the URL.
JOBS = ("Label", "Score", "Distill")


def main(here: Here) -> None:
    if not may_write():
        try_alone(here)
        return
    running = active_run(here.engine, here.id)
    shown = running.id if running else run_in_url(here)
    panel = st.container()
    job = st.segmented_control("What to do", JOBS, key="job", bind="query-params", default=JOBS[0], required=True,
                               label_visibility="collapsed")
    form = {"Label": label_form, "Score": score_form, "Distill": distill_form}[job]
    api_key = form(here, busy=running is not None)
    with panel:
        if shown:
            show_live(here, shown, api_key)
    past_runs(here, api_key, but=shown)


def run_in_url(here: Here) -> int | None:
    """The run of this extraction in ``?run=``, if there is one."""
    text = st.query_params.get("run", "")
    with session(here.engine) as work:
        run = work.get(Run, int(text)) if text.isdecimal() and len(text) < 10 else None
    return run.id if run is not None and run.extraction_id == here.id else None


def label_form(here: Here, *, busy: bool) -> str | None:
    """Show the form. Returns the key, for runs to go on with."""
    _tab, role, key, offered = FORMS["label"]
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("1 · Who labels")
        choice = choose_provider(role=role, titled=False)
        st.subheader("2 · Which features")
        wanted = choose_features(here, "unlabeled", offered, key=key)
        with st.expander("Options", icon=":material/tune:"):
            options = choose_options(LabelConfig, leave_out=(*ELSEWHERE, *limits_apart(choice)))
            if choice.provider != "embedded":
                options["prompt"] = choose_prompt()
    config = LabelConfig.checked(**choice.options(), **options)
    with right:
        before_start(here, config, wanted, choice, verb="Label", busy=busy,
                     estimating=partial(estimate, tried=tried_seconds(config)), starting=start_run)
    if wanted is not None:
        try_first(here, config, wanted, choice)
    return choice.api_key


def choose_prompt() -> str:
    """The name of a prompt template."""
    found, wrong = label_templates()
    for error in wrong:
        show_error(error)
    names = [template.name for template in found]
    if st.session_state.get("prompt_template", USUAL) not in names:
        st.session_state["prompt_template"] = USUAL
    return st.selectbox("Prompt", names, index=names.index(USUAL), key="prompt_template", persist_state="session",
                        help=LabelConfig.model_fields["prompt"].description)


with open_page("Label") as here:
    st.title("Label")
    main(here)
