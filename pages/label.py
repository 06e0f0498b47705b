"""Label: choose who labels (or scores) which features, see what it takes, start, and watch the results land.

Distil makes a labeler of one's own from the labels.
"""

import streamlit as st

from mistudio.jobs.estimate import estimate
from mistudio.jobs.labeling import start_run
from mistudio.label.config import LabelConfig
from mistudio.label.one import preview
from mistudio.label.prompts.templates import USUAL, label_templates
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, get_feature, neighbours
from mistudio.ui.distilling import distill_form
from mistudio.ui.live import past_runs, show_live
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here, guard, open_page, show_error
from mistudio.ui.provider import choose_provider
from mistudio.ui.running import active_run
from mistudio.ui.scoring import score_form
from mistudio.ui.selecting import choose_features
from mistudio.ui.starting import before_start

# Shown, and in the URL.
JOBS = ("Label", "Score", "Distill")


def main(here: Here) -> None:
    running = active_run(here.engine, here.id)
    shown = running.id if running else st.session_state.get("shown_run")
    panel = st.container()
    job = st.segmented_control("What to do", JOBS, key="job", bind="query-params", default=JOBS[0], required=True,
                               label_visibility="collapsed")
    form = {"Label": label_form, "Score": score_form, "Distill": distill_form}[job]
    api_key = form(here, busy=running is not None)
    with panel:
        if shown:
            show_live(here, shown, api_key)
    past_runs(here, api_key, but=shown)


def label_form(here: Here, *, busy: bool) -> str | None:
    """Show the form. Returns the key, for runs to go on with."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        choice = choose_provider()
        wanted = choose_features(here, "unlabeled", ("unlabeled", "score", "filter", "chosen", "all"), key="features")
        with st.expander("Options", icon=":material/tune:"):
            options = choose_options(LabelConfig, leave_out=("provider", "model", "base_url", "prompt"))
            if choice.provider != "embedded":
                options["prompt"] = choose_prompt()
    config = LabelConfig.checked(**choice.options(), **options)
    with right:
        before_start(here, config, wanted, choice, verb="Label", busy=busy, estimating=estimate, starting=start_run)
    if wanted is not None:
        prompt_preview(here, config, wanted)
    return choice.api_key


def choose_prompt() -> str:
    """The name of a prompt template."""
    found, wrong = label_templates()
    for error in wrong:
        show_error(error)
    names = [template.name for template in found]
    return st.selectbox("Prompt", names, index=names.index(USUAL), key="prompt_template", persist_state="session",
                        help=LabelConfig.model_fields["prompt"].description)


def prompt_preview(here: Here, config: LabelConfig, wanted: FeatureFilter) -> None:
    with st.expander("Prompt preview", icon=":material/visibility:", on_change="rerun", key="preview_open") as opened:
        if not opened.open:
            return
        with guard():
            with session(here.engine) as work:
                first = neighbours(work, here.id, wanted, -1)[1] or 0
            index = st.number_input("Feature", min_value=0, max_value=here.extraction.d_sae - 1, value=first,
                                    key="preview_feature", width=160)
            with session(here.engine) as work:
                feature, _label = get_feature(work, here.id, int(index))
            st.code(preview(here.engine, feature.id, config).text, language=None, wrap_lines=True, height=420)


with open_page("Label") as here:
    st.title("Label")
    main(here)
