"""What can be done about a run: stop it, let it go on, try again what failed, start another like it."""

import streamlit as st

from mistudio.errors import MistudioError
from mistudio.jobs.background import launch
from mistudio.jobs.work import config_of
from mistudio.run import loop
from mistudio.run.config import RunConfig
from mistudio.store.engine import session
from mistudio.store.runs import add_to_config, request_stop
from mistudio.store.tables import Run
from mistudio.ui import options, selecting
from mistudio.ui.failing import guard, show_error
from mistudio.ui.page import Here, link
from mistudio.ui.provider import fill_provider
from mistudio.ui.running import ACTIVE

RESUMABLE = ("interrupted", "paused", "cancelled", "failed", "waiting")
# For each kind of run: its tab, the role of its provider, the key and the offer of its choice of features.
FORMS = {"label": ("Label", "labeler", "features", ("unlabeled", "score", "filter", "chosen", "all")),
         "score": ("Score", "judge", "scored", ("labeled", "score", "filter", "chosen"))}
# Fields that have widgets of their own.
ELSEWHERE = ("provider", "model", "base_url", "prompt")


def run_actions(here: Here, run: Run, counts: dict[str, int], api_key: str | None) -> None:
    """One row of buttons: those that make sense now."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.state in ACTIVE:
            _stop_buttons(here, run)
            return
        if counts["done"]:
            link("pages/review.py", "Review the labels", ":material/rate_review:", extraction_id=here.id)
        if counts["done"] and run.kind == "label" and st.button(
                "Score the labels", icon=":material/speed:", key=f"score-{run.id}", on_click=_open_scores):
            st.rerun(scope="app")
        if run.state in RESUMABLE and counts["queued"]:
            _resume(here, run, counts["queued"], api_key)
        if counts["failed"] and st.button(f"Retry {counts['failed']:,} failed", icon=":material/refresh:",
                                          key=f"retry-{run.id}"):
            _again(here, run, api_key, failed_too=True)
        if st.button("Repeat with these settings", icon=":material/replay:", key=f"repeat-{run.id}", on_click=_repeat,
                     args=(run,), help="Fill the form with the settings of this run. Nothing starts yet."):
            st.toast(f"The form holds the settings of run {run.id}.", icon=":material/replay:")
            st.rerun(scope="app")


def _stop_buttons(here: Here, run: Run) -> None:
    for wish, icon in (("pause", ":material/pause:"), ("cancel", ":material/stop:")):
        st.button(wish.capitalize(), icon=icon, key=f"{wish}-{run.id}", on_click=_stop, args=(here, run.id, wish),
                  disabled=bool(run.stop))
    if run.stop:
        st.caption("Pausing…" if run.stop == "pause" else "Stopping…")


def _stop(here: Here, run_id: int, wish: str) -> None:
    with guard(), session(here.engine) as work:
        request_stop(work, run_id, wish)


def _resume(here: Here, run: Run, left: int, api_key: str | None) -> None:
    config = config_of(run)
    limited = [name for name in ("budget_dollars", "budget_tokens") if getattr(config, name) is not None]
    budget = {}
    if run.state == "paused":
        for name in limited:
            before = getattr(config, name)
            budget[name] = st.number_input(options.NAMES[name], min_value=before, value=before, width=170,
                                           format="%d" if isinstance(before, int) else "%g", key=f"{name}-{run.id}",
                                           help="Raise it for the run to go on.")
    name = "Ask here instead" if run.state == "waiting" else "Resume"
    if st.button(f"{name} ({left:,} left)", icon=":material/play_arrow:", key=f"resume-{run.id}"):
        _again(here, run, api_key, budget=budget)


def _again(here: Here, run: Run, api_key: str | None, *, failed_too: bool = False, budget: dict | None = None) -> None:
    try:
        if budget:
            with session(here.engine) as work:
                add_to_config(work, run.id, **budget)
        loop.resume(here.engine, run.id, failed_too=failed_too)
        launch(here.engine, run.id, api_key)
    except MistudioError as error:
        show_error(error)
        return
    show_run(run.id)
    st.rerun(scope="app")


def show_run(run_id: int) -> None:
    """Let the page show this run, also when it is loaded again."""
    st.query_params["run"] = str(run_id)


def _open_scores() -> None:
    st.session_state["job"] = FORMS["score"][0]


def _repeat(run: Run) -> None:
    job, role, key, offered = FORMS[run.kind]
    with guard():
        config: RunConfig = config_of(run)
        st.session_state["job"] = job
        fill_provider(config, role)
        options.fill_options(config, leave_out=ELSEWHERE)
        if run.kind == "label":
            st.session_state["prompt_template"] = config.prompt or None
        selecting.fill_features(selecting.stored_filter(run.config), offered, key=key)
