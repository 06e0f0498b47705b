"""Scores as the pages show them: those of one label with its misjudged windows, and those of an extraction."""


import streamlit as st

from mistudio.score.report import Report, Summary
from mistudio.store.engine import session
from mistudio.store.scores import METHODS, scores_of
from mistudio.store.tables import Label, Score
from mistudio.ui import resources
from mistudio.ui.page import Here, link
from mistudio.ui.quality_charts import groups_chart, scores_chart
from mistudio.ui.tokens import html_safe, markdown_safe, trial_html
from mistudio.ui.visiting import may_write

HELP = {"detection": "How often a judge with this label tells active from silent windows (balanced accuracy).",
        "fuzzing": "How often a judge with this label tells rightly from wrongly marked windows (balanced accuracy).",
        "embedding": "Chance that an active window is nearer to the label in meaning than a silent one (AUROC)."}
MOST_MISJUDGED = 12


def show_scores(here: Here, label: Label | None, *, key: str) -> None:
    """The newest test-split score by each method, and the windows that were misjudged."""
    if label is None:
        st.caption("Scores belong to a label, and there is none yet.")
        return
    with session(here.engine) as work:
        found = [score for score in scores_of(work, label.id) if score.split == "test"]
    newest = {method: score for method in METHODS for score in reversed(found) if score.method == method}
    if not newest:
        st.caption("This label has not been scored yet.")
        if may_write():
            link("pages/label.py", "Score labels", ":material/speed:", extraction_id=here.id, job="Score")
        return
    for column, score in zip(st.columns(len(newest)), newest.values(), strict=True):
        column.metric(score.method.capitalize(), f"{score.value:.2f}", help=HELP[score.method])
        column.caption(_details(score))
    for score in newest.values():
        _misjudged(score, key)


def _details(score: Score) -> str:
    parts = [f"95% {score.low:.2f} to {score.high:.2f}", f"{score.n} windows",
             "no wrong label tried" if score.baseline is None else f"a wrong label: {score.baseline:.2f}"]
    if score.weighted is not None:
        parts.append(f"weighted by strength {score.weighted:.2f}")
    if score.precision is not None and score.recall is not None:
        parts.append(f"precision {score.precision:.2f}, recall {score.recall:.2f}")
    return markdown_safe(f"{' · '.join(parts)} · {score.judge}")


def _misjudged(score: Score, key: str) -> None:
    if not score.misjudged:
        return
    fuzzed = score.method == "fuzzing"
    wrong = [window for window in score.misjudged if window["said"]]
    missed = [window for window in score.misjudged if not window["said"]]
    with st.expander(f"{len(score.misjudged)} of {score.n} misjudged by {score.method}", icon=":material/rule:",
                     key=f"misjudged-{key}-{score.id}"):
        for title, windows in (("Rightly marked, but the judge said no" if fuzzed else "Active, but missed", missed),
                               ("Wrongly marked, but the judge said yes" if fuzzed else "Silent, but the label fits "
                                "for the judge", wrong)):
            if windows:
                st.markdown(f"**{title}**")
                st.html("".join(trial_html(window) for window in windows[:MOST_MISJUDGED]))


def show_quality(here: Here) -> None:
    """Charts and tables of all scores of the extraction's current labels; nothing where there is none."""
    found = resources.quality_of(here.engine, here.extraction)
    if not found.summaries:
        return
    st.subheader("How good the labels are")
    if found.sampled:
        st.caption(f"From {found.sampled:,} features drawn at random.")
    for summary in found.summaries:
        left, right = st.columns([1, 3], vertical_alignment="center")
        left.metric(summary.method.capitalize(), f"{summary.mean:.2f}", help=HELP[summary.method])
        left.caption(_summed(summary))
        right.plotly_chart(scores_chart(summary), key=f"scores-{summary.method}", config={"displayModeBar": False})
    _groups(found)
    for gain in found.gains:
        price = gain.dollars_a_point
        st.caption(markdown_safe(
            f"Labeled again: {gain.features:,} features, {gain.points:+.1f} points of {gain.method} on average; a "
            f"point on one feature cost {'an unknown amount' if price is None else f'${price:.4f}'}."))


def _summed(summary: Summary) -> str:
    parts = [f"mean of {len(summary.values):,} labels"]
    if summary.baseline is not None:
        parts.append(f"wrong labels {summary.baseline:.2f}")
    parts.append(f"weighted by strength {summary.weighted:.2f}")
    if summary.found:
        parts.append("found " + ", ".join(f"{share:.0%} at {name}" for name, share in summary.found.items())
                     + " of 10")
    return markdown_safe(" · ".join(parts))


def _groups(found: Report) -> None:
    names = {"kind": "Kind", "density": "Density", "model": "Labeler", "prompt": "Prompt"}
    with st.expander("By kind, density, labeler and prompt", icon=":material/bar_chart:"):
        by = st.segmented_control("Group by", list(names), format_func=names.get, default="kind", required=True,
                                  key="quality_by", label_visibility="collapsed")
        st.plotly_chart(groups_chart([group for group in found.groups if group.by == by], names[by]),
                        key=f"groups-{by}", config={"displayModeBar": False})


def scores_line(scores: list[Score], run_id: int | None = None) -> str:
    """Test-split scores on one line, as HTML; only those of a run, where one is named. Empty where there is none."""
    shown = {score.method: score for score in reversed(scores)
             if score.split == "test" and run_id in (None, score.run_id)}
    line = " · ".join(f'<span title="{html_safe(HELP[method])}">{method} {score.value:.2f}</span>'
                      for method, score in shown.items())
    return f'<div class="ms-small">{line}</div>' if line else ""
