"""A run as it happens: its numbers, what lands, what fails. Everything has its place and height from the start, so that
nothing jumps while it fills."""


import streamlit as st

from mistudio.jobs import DOES
from mistudio.jobs.background import trouble
from mistudio.store.engine import session
from mistudio.store.examples import load_examples
from mistudio.store.items import failed_items, failures_by_reason
from mistudio.store.runs import get_run, recent_labels, run_counts
from mistudio.store.scores import scores_of
from mistudio.store.tables import Run
from mistudio.ui import resources
from mistudio.ui.acting import run_actions
from mistudio.ui.failing import guard
from mistudio.ui.page import Here
from mistudio.ui.running import ACTIVE, progress_of, speed, speed_in_words, time_left
from mistudio.ui.scores import scores_line
from mistudio.ui.tokens import best_example_html, html_safe, markdown_safe, readable
from mistudio.ui.wording import asked, dollars, pays, spend

SHOWN_LABELS = 20
SHOWN_REPLIES = 3
LONGEST_REPLY = 4000
HEIGHT, HEIGHT_ENDED = 400, 300
EXPECTED = ("paused", "waiting")


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
        finished, total = progress_of(counts)
        st.markdown(f"**Run {run.id}** · {DOES[run.kind][0].lower()} · {run.state} · {markdown_safe(asked(run))}")
        st.progress(finished / total if total else 1.0, text=f"{finished:,} of {total:,} features")
        _numbers(run, counts, finished)
        if run.state not in ACTIVE:
            show_message(here, run)
        run_actions(here, run, counts, api_key)
        if run.state not in ACTIVE and not finished:
            return
        height = HEIGHT if run.state in ACTIVE else HEIGHT_ENDED
        landed, failed = st.columns([5, 3], gap="small")
        with landed.container(height=height):
            _landed(here, run)
        with failed.container(height=height):
            if run.state in ACTIVE:  # where it moves nothing
                show_message(here, run)
            show_failures(here, run)


def show_message(here: Here, run: Run) -> None:
    """Why a run waits or ended, where there is something to say."""
    waits = trouble(here.engine, run.id)
    if waits:
        st.warning(markdown_safe(waits), icon=":material/hourglass_empty:")
    elif run.message:
        show = st.info if run.state in EXPECTED else st.error
        show(markdown_safe(run.message), icon=":material/info:" if run.state in EXPECTED else ":material/error:")


def _numbers(run: Run, counts: dict[str, int], finished: int) -> None:
    rate = speed(run, finished)
    shown = [((DOES[run.kind][1] if state == "done" else state).capitalize(), f"{counts[state]:,}")
             for state in ("done", "failed", "queued", "skipped")]
    shown += [("Speed", speed_in_words(rate)), ("Time left", time_left(run, counts, rate))]
    if pays(run.config):
        shown.append(("Spent", spend(run)))
    with st.container(horizontal=True, gap="small"):
        for name, value in shown:
            st.metric(name, value, width=118)
    st.caption(markdown_safe(_used(run)))


def _used(run: Run) -> str:
    parts = [f"{run.prompt_tokens:,} prompt tokens", f"{run.completion_tokens:,} answer tokens"]
    if not pays(run.config):
        parts.append(f"cost: {spend(run)}")
    limits = [dollars(run.config["budget_dollars"])] if run.config.get("budget_dollars") else []
    limits += [f"{run.config['budget_tokens']:,} tokens"] if run.config.get("budget_tokens") else []
    return " · ".join([*parts, *(f"budget: {limit}" for limit in limits)])


def _landed(here: Here, run: Run) -> None:
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    with session(here.engine) as work:
        landed = [(feature, label, load_examples(work, feature), scores_line(scores_of(work, label.id), run.id))
                  for feature, label in recent_labels(work, run.id, SHOWN_LABELS)]
    what = f"Newest {run.kind}s"
    if not landed:
        st.markdown(f"**{what}**")
        st.caption(f"The first {run.kind}s will appear here." if run.state in ACTIVE else f"No {run.kind} came of it.")
        return
    key = f"landed-{run.id}"
    seen, shown = st.session_state.get(key, set()), {feature.id for feature, *_rest in landed}
    st.session_state[key] = shown
    if not seen & shown:
        seen = set()  # where all are new, none stands out
    rows = "".join(
        f'<div class="ms-landed{" ms-new" if seen and feature.id not in seen else ""}">'
        f'<a class="ms-small" href="browse?x={here.id}&amp;f={feature.index}" target="_self">{feature.index}</a>'
        f'<div><b>{html_safe(label.text)}</b>{scores}</div>'
        f'{best_example_html(examples, feature.max_activation, vocabulary)}</div>'
        for feature, label, examples, scores in landed)
    st.markdown(f"**{what}**, each beside its strongest example")
    st.html(rows)


def show_failures(here: Here, run: Run) -> None:
    """Failed and skipped items by reason, with what the model really said."""
    with session(here.engine) as work:
        failed = [(kind, reason, count, failed_items(work, run.id, SHOWN_REPLIES, kind=kind))
                  for kind, reason, count in failures_by_reason(work, run.id)]
        skipped = failures_by_reason(work, run.id, state="skipped")
    st.markdown("**What failed, and why**")
    if not failed:
        st.caption("Nothing so far." if run.state in ACTIVE else "Nothing failed.")
    for kind, reason, count, items in failed:
        st.markdown(f"**{count:,} × {markdown_safe(kind or 'other')}**: {markdown_safe(reason)}")
        with st.expander("What came instead", icon=":material/chat_error:", key=f"replies-{run.id}-{kind}"):
            for index, item in items:
                st.caption(f"Feature {index:,}: {'the raw reply' if item.reply else 'there was no reply'}")
                if item.reply:
                    st.code(readable(item.reply[:LONGEST_REPLY]), language=None, wrap_lines=True)
    if skipped:
        st.caption(skipped_in_words(skipped))


def skipped_in_words(skipped: list[tuple[str, str, int]]) -> str:
    """Skipped items by reason, on one line."""
    # One reason can name a number of its own feature, so only its first part stands for the group.
    parts = (f"{count:,} {markdown_safe(reason.split(':')[0])}" for _kind, reason, count in skipped)
    return f"Skipped: {'; '.join(parts)}"
