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
from mistudio.ui.failing import guard
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.visiting import may_write
from mistudio.ui.wording import duration

ACTIVE = ("queued", "running")
# The speed is that of the latest observations, as soon as they span so many seconds.
OBSERVATIONS, SPAN = 60, 5.0
FEW_SECONDS = 5
# Seconds between two looks of each open page. Everyone who looks takes time from all others, and a click that meets a
# look in the server can be lost.
BUSY, IDLE = 4.0, 15.0


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
    found = _going_on(engine)
    job = background.status()
    busy = found is not None or (job is not None and job.running)
    st.fragment(_panel, run_every=BUSY if busy else IDLE)(engine, [found])


def _going_on(engine: Engine) -> tuple[Run, dict[str, int]] | None:
    """The run that is going on, and its items by state."""
    run = active_run(engine)
    if run is None:
        return None
    with session(engine) as work:
        return run, run_counts(work, run.id)


@st.cache_resource(ttl=1.0, max_entries=8, show_spinner=False)
def _lately_going_on(url: str, _engine: Engine) -> tuple[Run, dict[str, int]] | None:
    """The same for all visitors, so that the database is not asked once for each of them."""
    return _going_on(_engine)


def _panel(engine: Engine, fresh: list[tuple[Run, dict[str, int]] | None]) -> None:
    """``fresh`` is what the page has just read. It is taken away: later this runs alone, again and again."""
    with guard():
        job = background.status()
        if job is not None and job.running:
            with st.container(border=True, gap="small"):
                st.progress(min(max(job.fraction, 0.0), 1.0), text=markdown_safe(f"{job.title}: {job.step}"))
        _run_panel(engine, fresh.pop() if fresh else _lately_going_on(str(engine.url), engine))


def _run_panel(engine: Engine, found: tuple[Run, dict[str, int]] | None) -> None:
    watched = st.session_state.get("watched_run")
    if found is None and watched is None:
        return
    try:
        if found is None:
            with session(engine) as work:
                found = get_run(work, watched), run_counts(work, watched)
    except MistudioError:
        # The run was deleted with its extraction: there is nothing left to watch.
        del st.session_state["watched_run"]
        return
    run, counts = found
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
            with st.container(horizontal=True):
                st.markdown(f"**Run {run.id} {run.state}**  \n"
                            + ", ".join([f"{counts['done']:,} {DOES[run.kind][1]}", *failed]), width="stretch")
                st.button(":material/close:", type="tertiary", key="forget-run", on_click=_forget,
                          help="Show this no more.")
        if may_write():
            st.page_link("pages/label.py", label="Open the run", icon=":material/label:",
                         query_params={"x": str(run.extraction_id), "run": str(run.id)})


def _forget() -> None:
    st.session_state.pop("watched_run", None)
