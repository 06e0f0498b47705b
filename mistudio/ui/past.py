"""Runs of the past: settings, outcome, and what can still be done about them."""

from datetime import timedelta

import streamlit as st
from sqlalchemy import Engine

from mistudio.jobs import DOES
from mistudio.jobs.work import config_of
from mistudio.store.engine import session
from mistudio.store.items import failures_by_reason
from mistudio.store.runs import list_runs, run_counts
from mistudio.store.tables import Run, now
from mistudio.ui import options, selecting
from mistudio.ui.acting import ELSEWHERE, run_actions, show_run
from mistudio.ui.live import show_message, skipped_in_words
from mistudio.ui.page import Here
from mistudio.ui.running import ACTIVE
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.visiting import names_shown
from mistudio.ui.wording import asked, duration, spend

SHOWN_RUNS = 8
# Somebody is to decide about these, so they are open.
TO_GO_ON = ("waiting", "paused", "interrupted")


def past_runs(here: Here, api_key: str | None, *, but: int | None) -> None:
    """Earlier runs of this extraction, newest first."""
    with session(here.engine) as work:
        runs = [run for run in list_runs(work, here.id, limit=SHOWN_RUNS + 1) if run.id != but][:SHOWN_RUNS]
    if not runs:
        return
    st.subheader("Past runs")
    for run in runs:
        counts = _counts(str(here.engine.url), run.id, run.state, run.heartbeat, here.engine)
        title = (f"Run {run.id} · {DOES[run.kind][0].lower()} · {run.state} · {markdown_safe(asked(run))} · "
                 f"{counts['done']:,} {DOES[run.kind][1]}"
                 + (f", {counts['failed']:,} failed" if counts["failed"] else ""))
        with st.expander(title, icon=":material/history:", key=f"past-{run.id}", on_change="rerun",
                         expanded=run.state in TO_GO_ON) as opened:
            if opened.open:
                _details(here, run, counts, api_key)


@st.cache_data(max_entries=256, show_spinner=False)
def _counts(url: str, run_id: int, state: str, heartbeat: object, _engine: Engine) -> dict[str, int]:
    """A run that nobody has worked on since does not count its items again, however many there are."""
    with session(_engine) as work:
        return run_counts(work, run_id)


def _details(here: Here, run: Run, counts: dict[str, int], api_key: str | None) -> None:
    with session(here.engine) as work:
        failed = failures_by_reason(work, run.id)
        skipped = failures_by_reason(work, run.id, state="skipped")
    took = duration(((run.finished_at or now()) - run.started_at) / timedelta(seconds=1)) if run.started_at else "–"
    lines = [("Outcome", f"{counts['done']:,} {DOES[run.kind][1]}, {counts['failed']:,} failed, {counts['queued']:,} "
                         f"queued, {counts['skipped']:,} skipped"),
             ("Took", f"{took}, {run.created_at:%d %b %Y %H:%M} UTC"),
             ("Cost", f"{spend(run)}; {run.prompt_tokens:,} prompt and {run.completion_tokens:,} answer tokens"),
             *([("Started by", run.author)] if run.author and names_shown() else []), *settings_of(run)]
    st.markdown("  \n".join(f"{name}: {markdown_safe(value)}" for name, value in lines))
    show_message(here, run)
    for kind, reason, count in failed:
        st.markdown(f"{count:,} failed ({markdown_safe(kind)}): {markdown_safe(reason)}")
    if skipped:
        st.caption(skipped_in_words(skipped))
    run_actions(here, run, counts, api_key)
    if run.state not in ACTIVE:
        st.button("Show labels and failures above" if run.kind == "label" else "Show scores and failures above",
                  icon=":material/vertical_align_top:", key=f"show-{run.id}", on_click=show_run, args=(run.id,))


def settings_of(run: Run) -> list[tuple[str, str]]:
    """What a run was started with, in words: who, where, which features, and all that differs from the defaults."""
    config = config_of(run)
    lines = [("Asked", asked(run) + (f" at {config.base_url}" if config.base_url else "")),
             ("Features", selecting.in_words(selecting.stored_filter(run.config)))]
    if getattr(config, "prompt", ""):
        lines.append(("Prompt", config.prompt))
    return [*lines, ("Options", options.in_words(config, leave_out=ELSEWHERE) or "the usual ones")]
