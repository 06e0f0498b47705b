"""The running job, visible from every page. The database is the truth: the job lives in the server, not in the page."""

import streamlit as st
from sqlalchemy import Engine

from mistudio import background
from mistudio.errors import MistudioError
from mistudio.jobs import DOES
from mistudio.store.engine import session
from mistudio.store.runs import get_run, list_runs, run_counts
from mistudio.store.tables import Run
from mistudio.ui.tokens import markdown_safe

ACTIVE = ("queued", "running")


def active_run(engine: Engine, extraction_id: int | None = None) -> Run | None:
    """The newest run that is going on, if any."""
    with session(engine) as work:
        return next((run for run in list_runs(work, extraction_id, limit=10) if run.state in ACTIVE), None)


def show_running(engine: Engine) -> None:
    """In the sidebar: progress of the running job, kept up to date; the end of it when it ends under one's eyes."""
    run = active_run(engine)
    if run is not None:
        st.session_state["watched_run"] = run.id
    job = background.status()
    busy = run is not None or (job is not None and job.running)
    st.fragment(_panel, run_every=2.0 if busy else 15.0)(engine)


def _panel(engine: Engine) -> None:
    job = background.status()
    if job is not None and job.running:
        with st.container(border=True, gap="small"):
            st.progress(min(max(job.fraction, 0.0), 1.0), text=markdown_safe(f"{job.title}: {job.step}"))
    _run_panel(engine)


def _run_panel(engine: Engine) -> None:
    run = active_run(engine)
    watched = st.session_state.get("watched_run")
    if run is None and watched is None:
        return
    try:
        with session(engine) as work:
            run = run or get_run(work, watched)
            counts = run_counts(work, run.id)
    except MistudioError:
        # The run was deleted with its extraction: there is nothing left to watch.
        del st.session_state["watched_run"]
        return
    st.session_state["watched_run"] = run.id
    total = sum(counts.values()) - counts["skipped"]
    finished = counts["done"] + counts["failed"]
    with st.container(border=True, gap="small"):
        if run.state in ACTIVE:
            st.progress(finished / total if total else 0.0, text=f"{DOES[run.kind][0]}: {finished:,} of {total:,}")
        else:
            failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
            st.markdown(f"**Run {run.id} {run.state}**  \n{counts['done']:,} {DOES[run.kind][1]}{failed}")
        st.page_link("pages/label.py", label="Open the run", icon=":material/label:",
                     query_params={"x": str(run.extraction_id)})
