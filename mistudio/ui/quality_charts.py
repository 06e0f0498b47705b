"""Charts of Home: how far the labels reach, and how good they are."""

import numpy as np
import plotly.graph_objects as go

from mistudio.score.report import Group, Summary
from mistudio.store.extractions import Coverage
from mistudio.ui.charts import BLUE, GREY, MARGIN, PALE, plain

# The legend has lines of its own under the title, where it covers nothing: one, or two on a narrow screen.
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
BELOW_LEGEND = MARGIN | {"t": 80}


def _title(text: str) -> dict:
    """At the very top, so that the legend has what is left of the margin."""
    return {"text": text, "yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 8}}


def coverage_chart(coverage: Coverage) -> go.Figure:
    """One bar: how many of the features that can be labeled have which sort of label."""
    waiting = max(coverage.labeled - coverage.approved, 0)
    rest = max(coverage.labelable - coverage.labeled, 0)
    figure = go.Figure()
    for name, count, colour, pattern in (("approved", coverage.approved, BLUE, ""),
                                         ("not reviewed", waiting, PALE, "/"), ("unlabeled", rest, GREY, ".")):
        figure.add_bar(y=["features"], x=[count], name=f"{name}: {count:,}", orientation="h",
                       marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.3}},
                       hovertemplate=f"{count:,} features {name}<extra></extra>")
    figure.update_layout(title=_title("How far the labels reach"), barmode="stack", height=215,
                         margin=BELOW_LEGEND, legend={**LEGEND, "traceorder": "normal"})
    figure.update_xaxes(title="features that are not dead or rare")
    figure.update_yaxes(showticklabels=False)
    return figure


def scores_chart(summary: Summary) -> go.Figure:
    """How many labels scored how much by one method, beside what wrong labels scored on the same windows."""
    figure = go.Figure()
    for name, values, colour, pattern in (("these labels", summary.values, BLUE, ""),
                                          ("wrong labels", summary.baselines, GREY, "/")):
        if values:
            figure.add_histogram(
                x=np.array(values), name=f"{name}: {len(values):,}", histnorm="percent",
                xbins={"start": 0, "end": 1.05, "size": 0.05},
                marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.35}}, opacity=0.8,
                hovertemplate="%{y:.0f}% of " + name + " at %{x}<extra></extra>")
    figure.update_layout(title=_title(f"{summary.method.capitalize()} scores"), barmode="overlay", height=250,
                         margin=BELOW_LEGEND, legend=LEGEND)
    figure.update_xaxes(title="AUROC" if summary.method == "embedding" else "balanced accuracy", range=[0, 1.05])
    figure.update_yaxes(title="% of labels")
    return figure


def groups_chart(groups: list[Group], title: str) -> go.Figure:
    """Mean score of each group of labels, by method."""
    figure = go.Figure()
    for method, colour, pattern in (("detection", BLUE, ""), ("fuzzing", PALE, "/"), ("embedding", GREY, ".")):
        mine = [group for group in groups if group.method == method]
        if mine:
            figure.add_bar(y=[plain(group.name) for group in mine], x=[group.mean for group in mine], name=method,
                           orientation="h", marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.3}},
                           customdata=[group.labels for group in mine],
                           hovertemplate="%{y}: %{x:.2f}, %{customdata:,} labels<extra>" + method + "</extra>")
    rows = len({group.name for group in groups}) * len({group.method for group in groups})
    figure.update_layout(title=_title(f"Mean score by {title.lower()}"), height=160 + 22 * rows,
                         margin=BELOW_LEGEND, legend=LEGEND)
    figure.update_xaxes(title="mean score", range=[0, 1.05])
    return figure
