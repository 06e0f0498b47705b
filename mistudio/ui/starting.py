"""What a job takes, and the button that starts it."""

from collections.abc import Callable

import streamlit as st

from mistudio.jobs.background import launch
from mistudio.jobs.estimate import Estimate
from mistudio.jobs.work import provider_of
from mistudio.run.config import RunConfig
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, count_features
from mistudio.ui.live import duration
from mistudio.ui.page import Here, guard
from mistudio.ui.provider import Choice
from mistudio.ui.tokens import markdown_safe


def before_start(here: Here, config: RunConfig, wanted: FeatureFilter | None, choice: Choice, *, verb: str, busy: bool,
                 estimating: Callable[..., Estimate], starting: Callable[..., int]) -> None:
    """The estimate of a job, and its button.

    Args:
        verb: ``Label`` or ``Score``.
        estimating, starting: make the estimate, and queue the run and return its id, from engine, extraction id, config
            and filter.
    """
    with st.container(border=True), guard():
        st.subheader("Before you start")
        if wanted is None:
            st.caption("Choose features to see what the run takes.")
            return
        with session(here.engine) as work:
            if not count_features(work, here.id, wanted):
                st.info(f"No feature matches, so there is nothing to {verb.lower()}.", icon=":material/info:")
                return
        found = _estimated(here.id, verb, config.model_dump_json(), wanted.as_dict(), str(here.engine.url), estimating,
                           here, config, wanted)
        show_estimate(found, verb)
        if not choice.ready:
            st.caption("Choose a model to start.")
        elif busy:
            st.caption("A run is going on. Start another when it has ended.")
        if st.button(f"{verb} {found.features:,} feature{'s' if found.features != 1 else ''}", type="primary",
                     icon=":material/play_arrow:", disabled=busy or not choice.ready or not found.features):
            provider_of(config, choice.api_key)
            run_id = starting(here.engine, here.id, config, wanted)
            launch(here.engine, run_id, choice.api_key)
            st.session_state["shown_run"] = run_id
            st.rerun()


@st.cache_data(ttl=15, max_entries=32, show_spinner=False)
def _estimated(extraction_id: int, verb: str, options: str, which: dict, url: str, _estimating: Callable[..., Estimate],
               _here: Here, _config: RunConfig, _wanted: FeatureFilter) -> Estimate:
    """Kept for a short while: each widget on the page would ask for it again."""
    return _estimating(_here.engine, extraction_id, _config, _wanted)


def show_estimate(found: Estimate, verb: str) -> None:
    low, high = found.prompt_tokens
    answer_low, answer_high = found.completion_tokens
    if found.free:
        cost = "none, it runs on your machine"
    elif found.cost is None:
        cost = "unknown price"
    else:
        cost = f"about ${found.cost[0]:,.2f} to ${found.cost[1]:,.2f}"
    time = "unknown until it has answered once" if found.seconds is None else f"about {duration(found.seconds)}"
    st.markdown(markdown_safe(f"{found.features:,} features to {verb.lower()}").join(("**", "**")))
    if found.skipped:
        why = "dead, rare, or labeled by a person" if verb == "Label" else "without a label, or scored before"
        st.caption(f"{found.skipped:,} more match and will be skipped: {why}.")
    rows = [("Cost", cost), ("Time", time)]
    if high:
        rows = [("Calls", " to ".join(f"{end:,}" for end in dict.fromkeys(found.calls))),
                ("Prompt tokens", f"{low:,} to {high:,}"), ("Answer tokens", f"{answer_low:,} to {answer_high:,}"),
                *rows]
    st.markdown("  \n".join(f"{name}: {markdown_safe(value)}" for name, value in rows))
