"""A run as it happens, and the runs of the past."""

import re
from datetime import timedelta
from html import escape

import streamlit as st

from mistudio.errors import MistudioError
from mistudio.jobs import DOES
from mistudio.jobs.background import launch, trouble
from mistudio.label.adapters import labeler
from mistudio.label.providers import FREE
from mistudio.run import loop
from mistudio.store.engine import session
from mistudio.store.examples import load_examples
from mistudio.store.items import failed_items, failures_by_reason
from mistudio.store.runs import get_run, list_runs, recent_labels, request_stop, run_counts
from mistudio.store.scores import scores_of
from mistudio.store.tables import Run, now
from mistudio.ui import resources
from mistudio.ui.page import Here, guard, link, show_error
from mistudio.ui.running import ACTIVE
from mistudio.ui.scores import scores_line
from mistudio.ui.tokens import best_example_html, markdown_safe

# Of a run that has ended fewer are shown: the next thing to do is below them.
SHOWN_LABELS, SHOWN_AFTERWARDS = 12, 5
SHOWN_RUNS = 8
RESUMABLE = ("interrupted", "paused", "cancelled", "failed", "waiting")
EXPECTED = ("paused", "waiting")


def spend(run: Run) -> str:
    """What a run cost so far; never a zero for what is not known."""
    if run.config.get("provider") in FREE:
        return "runs on your machine"
    return "unknown" if run.cost is None else f"${run.cost:,.4f}"


def duration(seconds: float) -> str:
    """Seconds in words that fit their size."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def asked(run: Run) -> str:
    """Who labels or judges in a run."""
    return labeler(run.config.get("provider", ""), run.config.get("model", ""))


def show_live(here: Here, run_id: int, api_key: str | None) -> None:
    """The run's panel; it follows the run while that goes on, and turns into its result."""
    with session(here.engine) as work:
        active = get_run(work, run_id).state in ACTIVE
    st.fragment(_live, run_every=1.5 if active else None)(here, run_id, api_key, active)


def _live(here: Here, run_id: int, api_key: str | None, was_active: bool) -> None:
    with guard(), st.container(border=True):
        with session(here.engine) as work:
            run = get_run(work, run_id)
            counts = run_counts(work, run_id)
        if was_active and run.state not in ACTIVE:
            # The rest of the page (estimate, past runs) changed with the end of the run.
            st.rerun(scope="app")
        _header(here, run, counts)
        _numbers(run, counts)
        show_message(here, run)
        _landed(here, run)
        show_failures(here, run)
        if run.state not in ACTIVE:
            run_actions(here, run, counts, api_key)


def show_message(here: Here, run: Run) -> None:
    """Why a run waits or ended, where there is something to say."""
    waits = trouble(here.engine, run.id)
    if waits:
        st.warning(markdown_safe(waits), icon=":material/hourglass_empty:")
    elif run.message:
        show = st.info if run.state in EXPECTED else st.error
        show(markdown_safe(run.message), icon=":material/info:" if run.state in EXPECTED else ":material/error:")


def _header(here: Here, run: Run, counts: dict[str, int]) -> None:
    total = sum(counts.values()) - counts["skipped"]
    finished = counts["done"] + counts["failed"]
    title, stop = st.columns([3, 2], vertical_alignment="center")
    title.markdown(f"**Run {run.id}** · {DOES[run.kind][0].lower()} · {run.state} · {markdown_safe(asked(run))}")
    if run.state in ACTIVE:
        if run.stop:
            stop.caption("Pausing…" if run.stop == "pause" else "Stopping…")
        else:
            row = stop.container(horizontal=True, horizontal_alignment="right")
            for wish, icon in (("pause", ":material/pause:"), ("cancel", ":material/stop:")):
                row.button(wish.capitalize(), icon=icon, key=f"{wish}-{run.id}", on_click=_stop,
                           args=(here, run.id, wish))
    st.progress(finished / total if total else 1.0, text=f"{finished:,} of {total:,} features")


def _stop(here: Here, run_id: int, wish: str) -> None:
    with guard(), session(here.engine) as work:
        request_stop(work, run_id, wish)


def _numbers(run: Run, counts: dict[str, int]) -> None:
    finished = counts["done"] + counts["failed"]
    until = now() if run.state in ACTIVE else run.finished_at or now()
    seconds = (until - run.started_at).total_seconds() if run.started_at else 0.0
    rate = finished / seconds if seconds > 0 else 0.0
    left = duration(counts["queued"] / rate) if rate and run.state in ACTIVE else "–"
    speed = "–" if not rate else f"{rate:.1f} /s" if rate >= 1 else f"{60 * rate:.1f} /min"
    shown = [((DOES[run.kind][1] if state == "done" else state).capitalize(), f"{counts[state]:,}")
             for state in ("done", "failed", "queued", "skipped")] + [("Speed", speed), ("Time left", left)]
    for column, (name, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(name, value)
    st.caption(markdown_safe(f"Cost: {spend(run)} · {run.prompt_tokens:,} prompt tokens, {run.completion_tokens:,} "
                             "answer tokens"))


def _landed(here: Here, run: Run) -> None:
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    most = SHOWN_LABELS if run.state in ACTIVE else SHOWN_AFTERWARDS
    with session(here.engine) as work:
        landed = [(feature, label, load_examples(work, feature), scores_line(scores_of(work, label.id), run.id))
                  for feature, label in recent_labels(work, run.id, most)]
    if not landed:
        if run.state in ACTIVE:
            st.caption(f"The first {run.kind}s will appear here.")
        return
    rows = "".join(
        f'<div class="ms-landed"><a class="ms-small" href="browse?x={here.id}&amp;f={feature.index}" target="_self">'
        f'{feature.index}</a><div><b>{escape(label.text)}</b>{scores}</div>'
        f'{best_example_html(examples, feature.max_activation, vocabulary)}</div>'
        for feature, label, examples, scores in landed)
    st.markdown("**Newest labels**, each beside its strongest example" if run.kind == "label" else
                "**Newest scores**, each label beside its strongest example")
    st.html(rows)


def show_failures(here: Here, run: Run) -> None:
    """Failed and skipped items by reason, with what the model really said."""
    with session(here.engine) as work:
        failed = failures_by_reason(work, run.id)
        skipped = failures_by_reason(work, run.id, state="skipped")
        items = failed_items(work, run.id, limit=50) if failed else []
    for kind, reason, count in failed:
        with st.expander(f"{count:,} failed: {markdown_safe(kind or 'other')}", icon=":material/warning:"):
            st.markdown(markdown_safe(reason))
            for index, item in [pair for pair in items if pair[1].reason_kind == kind][:5]:
                st.caption(f"Feature {index:,}: what the model replied" if item.reply
                           else f"Feature {index:,}: no reply")
                if item.reply:
                    st.code(item.reply[:4000], language=None, wrap_lines=True)
    if skipped:
        # One reason can name a number of its own feature, so only its first part stands for the group.
        parts = "; ".join(f"{count:,} {markdown_safe(re.split('[:]', reason)[0])}" for _kind, reason, count in skipped)
        st.caption(f"Skipped: {parts}")


def run_actions(here: Here, run: Run, counts: dict[str, int], api_key: str | None) -> None:
    """Resume and retry, where they make sense."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if counts["done"] and run.kind == "label":
            link("pages/label.py", "Score the labels", ":material/speed:", extraction_id=here.id, job="Score")
        if counts["done"]:
            link("pages/review.py", "Review the labels", ":material/rate_review:", extraction_id=here.id)
        name = "Ask here instead" if run.state == "waiting" else "Resume"
        if run.state in RESUMABLE and counts["queued"] and st.button(
                f"{name} ({counts['queued']:,} left)", icon=":material/play_arrow:", key=f"resume-{run.id}"):
            _again(here, run, api_key)
        if counts["failed"] and st.button(f"Retry {counts['failed']:,} failed", icon=":material/refresh:",
                                          key=f"retry-{run.id}"):
            _again(here, run, api_key, failed_too=True)


def _again(here: Here, run: Run, api_key: str | None, *, failed_too: bool = False) -> None:
    try:
        loop.resume(here.engine, run.id, failed_too=failed_too)
        launch(here.engine, run.id, api_key)
    except MistudioError as error:
        show_error(error)
        return
    st.session_state["shown_run"] = run.id
    st.rerun(scope="app")


def past_runs(here: Here, api_key: str | None, *, but: int | None) -> None:
    """Earlier runs of this extraction, newest first."""
    with session(here.engine) as work:
        runs = [run for run in list_runs(work, here.id, limit=SHOWN_RUNS + 1) if run.id != but][:SHOWN_RUNS]
        counted = {run.id: run_counts(work, run.id) for run in runs}
    if not runs:
        return
    st.subheader("Past runs")
    for run in runs:
        counts = counted[run.id]
        took = duration(((run.finished_at or now()) - run.started_at) / timedelta(seconds=1)) if run.started_at else "–"
        title = (f"Run {run.id} · {DOES[run.kind][0].lower()} · {run.state} · {markdown_safe(asked(run))} · "
                 f"{counts['done']:,} {DOES[run.kind][1]}"
                 + (f", {counts['failed']:,} failed" if counts["failed"] else ""))
        with st.expander(title, icon=":material/history:"):
            st.caption(markdown_safe(f"{run.created_at:%d %b %Y %H:%M} UTC · took {took} · cost {spend(run)} · "
                                     f"{counts['queued']:,} queued, {counts['skipped']:,} skipped"))
            show_message(here, run)
            show_failures_flat(here, run)
            run_actions(here, run, counts, api_key)


def show_failures_flat(here: Here, run: Run) -> None:
    """Reasons of failure, one line each."""
    with session(here.engine) as work:
        for kind, reason, count in failures_by_reason(work, run.id):
            st.markdown(f"{count:,} failed ({markdown_safe(kind)}): {markdown_safe(reason)}")
