"""Charts. Each has a title, axis names and units; colours come from the theme."""

import plotly.graph_objects as go

from mistudio.store.tables import Feature

MARGIN = {"l": 10, "r": 10, "t": 45, "b": 10}
# Readable on light and dark ground, and told apart by symbol or pattern as well.
BLUE, PALE, GREY = "#4a7be0", "#8fb0f0", "#98a2b0"
MOST_POINTS = 4000  # more would be slow to send and draw, and could not be told apart


def density_chart(rows: list[tuple]) -> go.Figure:
    """Density against maximum of ``store.features.points`` rows, labeled features apart from the rest.

    Features that never fired have no place on a logarithmic axis and are left out; of very many an even share is drawn.
    """
    alive = [row for row in rows if row[1] > 0]
    drawn = alive[::max(1, -(-len(alive) // MOST_POINTS))]
    figure = go.Figure()
    for name, symbol, colour, labeled in (("unlabeled", "circle-open", GREY, False), ("labeled", "circle", BLUE, True)):
        group = [row for row in drawn if (row[4] is not None) == labeled]
        if group:
            figure.add_scattergl(
                x=[100 * row[1] for row in group], y=[row[2] for row in group], mode="markers", name=name,
                marker={"size": 6, "symbol": symbol, "color": colour, "opacity": 0.75},
                text=[f"{row[0]}: {plain(row[4] or 'no label yet')}" for row in group],
                hovertemplate="%{text}<br>density %{x:.3g}% of tokens<br>maximum %{y:.3g}<extra></extra>")
    share = "" if len(drawn) == len(alive) else f" ({len(drawn):,} of {len(alive):,} drawn)"
    figure.update_layout(title=f"Density and maximum of each feature{share}", height=300,
                         margin=MARGIN, legend={"orientation": "h", "y": 1.14, "x": 0.7})
    figure.update_xaxes(title="density (% of tokens, log scale)", type="log", exponentformat="none", dtick=1)
    figure.update_yaxes(title="maximum activation")
    return figure


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
    """Plotly reads a few tags in hover text: take their brackets away."""
    return text.replace("<", "‹").replace(">", "›")
