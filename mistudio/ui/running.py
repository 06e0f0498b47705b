"""The running job, visible from every page. The database is the truth: the job lives in the server, not in the page."""

import time
from collections import deque

import streamlit as st
from sqlalchemy import Engine

from mistudio import background
from mistudio.errors import MistudioError
from mistudio.jobs import DOES
from mistudio.store.engine import session
from mistudio.store.runs import get_run, list_runs, run_counts
from mistudio.store.tables import Run, now
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.visiting import may_write
from mistudio.ui.wording import duration

ACTIVE = ("queued", "running")
# The speed is that of the latest observations, as soon as they span so many seconds.
OBSERVATIONS, SPAN = 60, 5.0
FEW_SECONDS = 5


def active_run(engine: Engine, extraction_id: int | None = None) -> Run | None:
    """The newest run that is going on, if any."""
    with session(engine) as work:
        return next((run for run in list_runs(work, extraction_id, limit=10) if run.state in ACTIVE), None)


def progress_of(counts: dict[str, int]) -> tuple[int, int]:
    """How many items are done or failed, and how many there are; the skipped ones do not count."""
    return counts["done"] + counts["failed"], sum(counts.values()) - counts["skipped"]


def speed(run: Run, finished: int) -> float:
    """Items a second: lately, as this session has seen it, while the run goes on; else over all its time."""
    if run.state in ACTIVE:
        seen = st.session_state.setdefault(f"seen-{run.id}", deque(maxlen=OBSERVATIONS))
        seen.append((time.monotonic(), finished))
        passed, landed = (last - first for first, last in zip(seen[0], seen[-1], strict=True))
        if passed >= SPAN and landed > 0:
            return landed / passed
    else:
        st.session_state.pop(f"seen-{run.id}", None)
    until = now() if run.state in ACTIVE else run.finished_at or now()
    seconds = (until - run.started_at).total_seconds() if run.started_at else 0.0
    return finished / seconds if seconds > 0 else 0.0


def speed_in_words(rate: float) -> str:
    if not rate:
        return "–"
    value, unit = (rate, "s") if rate >= 1 else (60 * rate, "min")
    return f"{value:.0f} /{unit}" if value >= 10 else f"{value:.1f} /{unit}"


def time_left(run: Run, counts: dict[str, int], rate: float) -> str:
    """How long the run will go on, in words."""
    if not rate or run.state not in ACTIVE:
        return "–"
    seconds = counts["queued"] / rate
    return duration(seconds) if seconds >= FEW_SECONDS else f"under {FEW_SECONDS} s"


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
    finished, total = progress_of(counts)
    failed = [f"{counts['failed']:,} failed"] if counts["failed"] else []
    with st.container(border=True, gap="xsmall"):
        if run.state in ACTIVE:
            st.progress(finished / total if total else 0.0, text=f"{DOES[run.kind][0]}: {finished:,} of {total:,}")
            rate = speed(run, finished)
            left = [f"{time_left(run, counts, rate)} left"] if rate else ["starting"]
            st.caption(markdown_safe(" · ".join([*([speed_in_words(rate)] if rate else []), *left, *failed])))
        else:
            st.markdown(f"**Run {run.id} {run.state}**  \n"
                        + ", ".join([f"{counts['done']:,} {DOES[run.kind][1]}", *failed]))
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            if may_write():
                st.page_link("pages/label.py", label="Open the run", icon=":material/label:",
                             query_params={"x": str(run.extraction_id), "run": str(run.id)})
            if run.state not in ACTIVE:
                st.button("Hide", type="tertiary", key="forget-run", on_click=_forget, help="Show this no more.")


def _forget() -> None:
    st.session_state.pop("watched_run", None)
