"""Label: choose who labels which features, see what it takes, start, and watch the labels land."""

import streamlit as st

from mistudio.errors import MistudioError
from mistudio.jobs.background import launch
from mistudio.jobs.estimate import Estimate, estimate
from mistudio.jobs.labeling import start_run
from mistudio.label.config import LabelConfig
from mistudio.label.one import preview
from mistudio.label.prompts.templates import USUAL, label_templates
from mistudio.label.providers import make_provider
from mistudio.label.selection import parse_indices
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, count_features, get_feature, neighbours
from mistudio.ui import filters
from mistudio.ui.live import duration, past_runs, show_live
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here, guard, link, open_page, show_error
from mistudio.ui.provider import choose_provider
from mistudio.ui.running import active_run
from mistudio.ui.tokens import markdown_safe

WHAT = {"unlabeled": "All unlabeled", "filter": "Current filter", "chosen": "Chosen features", "all": "Everything"}


def main(here: Here) -> None:
    running = active_run(here.engine, here.id)
    shown = running.id if running else st.session_state.get("shown_run")
    panel = st.container()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("New run" if shown else "Who and what")
        choice = choose_provider()
        wanted = choose_features(here)
        with st.expander("Options", icon=":material/tune:"):
            options = choose_options(LabelConfig, leave_out=("provider", "model", "base_url", "prompt"))
            if choice.provider != "embedded":
                options["prompt"] = choose_prompt()
    config = LabelConfig.checked(**choice.options(), **options)
    with right:
        before_start(here, config, wanted, choice, busy=running is not None)
    if wanted is not None:
        prompt_preview(here, config, wanted)
    with panel:
        if shown:
            show_live(here, shown, choice.api_key)
    past_runs(here, choice.api_key, but=shown)


def choose_prompt() -> str:
    """The name of a prompt template."""
    found, wrong = label_templates()
    for error in wrong:
        show_error(error)
    names = [template.name for template in found]
    return st.selectbox("Prompt", names, index=names.index(USUAL), key="prompt_template", persist_state="session",
                        help=LabelConfig.model_fields["prompt"].description)


def choose_features(here: Here) -> FeatureFilter | None:
    """The features to label; None while the choice is not complete."""
    only = st.query_params.get("only", "")
    names = [name for name in WHAT if name != "filter" or only or st.query_params.get("what") == "filter"]
    first = st.query_params.get("what", "unlabeled")
    what = st.segmented_control("Which features", names, format_func=WHAT.get, required=True, key="what_features",
                                default=first if first in names else "unlabeled")
    if what == "unlabeled":
        return FeatureFilter(labels="unlabeled")
    if what == "filter":
        wanted = filters.from_url(only)
        st.caption(f"From Browse: {markdown_safe(filters.in_words(wanted))}")
        link("pages/browse.py", "Change the filter", ":material/filter_alt:", extraction_id=here.id)
        return wanted
    if what == "all":
        st.caption("Labels that a person wrote or approved are kept, unless the options say otherwise.")
        return FeatureFilter()
    text = st.text_input("Features", key="chosen_features", placeholder="0-99,205", persist_state="session",
                         help="Indices and ranges, with commas between them.")
    if not text.strip():
        return None
    try:
        return FeatureFilter(indices=parse_indices(text, here.extraction.d_sae))
    except MistudioError as error:
        show_error(error)
        return None


def before_start(here: Here, config: LabelConfig, wanted: FeatureFilter | None, choice, *, busy: bool) -> None:
    """What the run takes, and the button that starts it."""
    with st.container(border=True), guard():
        st.subheader("Before you start")
        if wanted is None:
            st.caption("Choose features to see what the run takes.")
            return
        with session(here.engine) as work:
            if not count_features(work, here.id, wanted):
                st.info("No feature matches, so there is nothing to label.", icon=":material/info:")
                return
        found = estimated(here, config, wanted)
        show_estimate(found)
        if not choice.ready:
            st.caption("Choose a model to start.")
        elif busy:
            st.caption("A run is going on. Start another when it has ended.")
        if st.button(f"Label {found.features:,} feature{'s' if found.features != 1 else ''}", type="primary",
                     icon=":material/play_arrow:", disabled=busy or not choice.ready or not found.features):
            start(here, config, wanted, choice.api_key)


def estimated(here: Here, config: LabelConfig, wanted: FeatureFilter) -> Estimate:
    """The estimate, kept for a short while: each widget on the page would ask for it again."""
    return _estimated(here.id, config.model_dump_json(), wanted.as_dict(), str(here.engine.url), here, config, wanted)


@st.cache_data(ttl=15, max_entries=32, show_spinner=False)
def _estimated(extraction_id: int, options: str, which: dict, url: str, _here: Here, _config: LabelConfig,
               _wanted: FeatureFilter) -> Estimate:
    return estimate(_here.engine, extraction_id, _config, _wanted)


def show_estimate(found: Estimate) -> None:
    low, high = found.prompt_tokens
    answer_low, answer_high = found.completion_tokens
    if found.free:
        cost = "none, it runs on your machine"
    elif found.cost is None:
        cost = "unknown price"
    else:
        cost = f"about ${found.cost[0]:,.2f} to ${found.cost[1]:,.2f}"
    time = "unknown until it has answered once" if found.seconds is None else f"about {duration(found.seconds)}"
    st.markdown(markdown_safe(f"{found.features:,} features to label").join(("**", "**")))
    if found.skipped:
        st.caption(f"{found.skipped:,} more match and will be skipped: dead, rare, or labeled by a person.")
    rows = (("Prompt tokens", f"{low:,} to {high:,}"), ("Answer tokens", f"{answer_low:,} to {answer_high:,}"),
            ("Cost", cost), ("Time", time))
    st.markdown("  \n".join(f"{name}: {markdown_safe(value)}" for name, value in rows))


def start(here: Here, config: LabelConfig, wanted: FeatureFilter, api_key: str | None) -> None:
    if config.provider != "embedded":
        make_provider(config, api_key)
    run_id = start_run(here.engine, here.id, config, wanted)
    launch(here.engine, run_id, api_key)
    st.session_state["shown_run"] = run_id
    st.rerun()


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
