"""Charts. Each has a title, axis names and units; colours come from the theme."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mistudio.store.features import DensityGrid
from mistudio.store.tables import Feature
from mistudio.ui.tokens import readable

MARGIN = {"l": 10, "r": 10, "t": 45, "b": 10}
# Readable on light and dark ground, and told apart by symbol or pattern as well.
BLUE, PALE, GREY, ORANGE = "#4a7be0", "#8fb0f0", "#98a2b0", "#d98a1f"
MAP_HEIGHT = 470


class Box(NamedTuple):
    """A chosen part of the map: from and to of density (a fraction) and of maximum."""

    density: tuple[float, float]
    maximum: tuple[float, float]


def density_chart(rows: list[tuple], box: Box | None = None) -> go.Figure:
    """Density against maximum of ``store.features.points`` rows, labeled features apart from the rest.

    Features that never fired have no place on a logarithmic axis and are left out.
    """
    figure = go.Figure()
    alive = [row for row in rows if row[1] > 0 and row[2] > 0]
    for name, symbol, colour, labeled in (("no label", "circle-open", GREY, False), ("labeled", "circle", BLUE, True)):
        group = [row for row in alive if (row[4] is not None) == labeled]
        if group:
            figure.add_scattergl(
                x=np.array([100 * row[1] for row in group]), y=np.array([row[2] for row in group]), mode="markers",
                name=name, marker={"size": 5, "symbol": symbol, "color": colour, "opacity": 0.75},
                customdata=np.array([row[0] for row in group]),
                text=np.array([f"{row[0]}: {plain(row[4] or 'no label yet')}" for row in group]),
                hovertemplate="%{text}<br>density %{x:.3g}% of tokens<br>maximum %{y:.3g}<extra></extra>")
    return _map_layout(figure, "Each feature by density and maximum", box)


def density_grid_chart(grid: DensityGrid, box: Box | None = None) -> go.Figure:
    """The same for very many features, counted in cells: the more of them, the larger and darker the square."""
    density, maximum = np.nonzero(grid.counts)
    counts, labeled = grid.counts[density, maximum], grid.labeled[density, maximum]
    size = np.log1p(counts) / np.log1p(counts.max())
    x, y = (np.sqrt(edges[:-1] * edges[1:])[at] for edges, at in ((grid.density, density), (grid.maximum, maximum)))
    figure = go.Figure(go.Scattergl(
        x=100 * x, y=y, mode="markers", name="features", customdata=np.stack([counts, labeled], 1),
        marker={"size": 2 + 7 * size, "symbol": "square", "color": BLUE, "opacity": 0.25 + 0.75 * size,
                "line": {"width": 0}},
        hovertemplate=f"{'about ' if grid.one_in > 1 else ''}%{{customdata[0]:,}} features, %{{customdata[1]:,}} of "
                      "them labeled<br>density about %{x:.2g}% of tokens<br>maximum about %{y:.2g}<extra></extra>"))
    number = f"{counts.sum():,} features" if grid.one_in == 1 else "Features"
    return _map_layout(figure, f"{number} by density and maximum", box)


def _map_layout(figure: go.Figure, title: str, box: Box | None) -> go.Figure:
    figure.update_layout(title=title, height=MAP_HEIGHT, margin=MARGIN, dragmode="select", showlegend=True,
                         legend={"orientation": "h", "y": -0.2, "x": 0})
    figure.update_xaxes(title="density (% of tokens, log scale)", type="log", **_ticks(figure, "x"))
    figure.update_yaxes(title="maximum activation (log scale)", type="log", **_ticks(figure, "y"))
    if box is not None:
        figure.add_shape(type="rect", x0=100 * box.density[0], x1=100 * box.density[1], y0=box.maximum[0],
                         y1=box.maximum[1], line={"dash": "dash", "width": 2, "color": ORANGE})
    return figure


def _ticks(figure: go.Figure, axis: str) -> dict:
    """Ticks of a logarithmic axis at 1, 10, 100, and between them where they are few."""
    values = np.concatenate([trace[axis] for trace in figure.data])
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    steps = range(1, 10) if values.max() < 10 * values.min() else (1, 2, 5) if high - low <= 3 else (1,)
    ticks = [step * 10.0**power for power in np.arange(low, high + 1) for step in steps]
    return {"tickvals": ticks, "ticktext": [f"{tick:,.4g}" for tick in ticks]}


def histogram_chart(feature: Feature) -> go.Figure:
    """How often a feature fires at which activation."""
    lows, highs, counts = zip(*feature.histogram, strict=True)
    figure = go.Figure(go.Bar(
        x=[(low + high) / 2 for low, high in zip(lows, highs, strict=True)], y=counts,
        width=[high - low for low, high in zip(lows, highs, strict=True)],
        marker={"color": BLUE}, customdata=list(zip(lows, highs, strict=True)),
        hovertemplate="%{y:,} tokens at %{customdata[0]:.2f} to %{customdata[1]:.2f}<extra></extra>"))
    figure.update_layout(title="How strongly it fires", height=230, margin=MARGIN, bargap=0)
    figure.update_xaxes(title="activation")
    figure.update_yaxes(title="tokens (log scale)", type="log", dtick=1, exponentformat="none", tickformat=",")
    return figure


def plain(text: str) -> str:
    """At most 60 characters of a text. Plotly reads a few tags and entities in it: take their signs away."""
    return readable(text[:60]).replace("<", "‹").replace(">", "›").replace("&", "＆")
