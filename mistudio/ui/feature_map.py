"""The map of features: density against maximum, where a box that is drawn becomes the filter."""

from dataclasses import replace

import streamlit as st

from mistudio.store.features import DensityGrid, FeatureFilter
from mistudio.ui import filters, resources
from mistudio.ui.charts import Box, density_chart, density_grid_chart
from mistudio.ui.page import Here


def show_map(here: Here, wanted: FeatureFilter, matching: int) -> None:
    """All features that match the other filters, and in them the box of the density and maximum that are wanted.

    Args:
        matching: how many match all filters.
    """
    others = replace(wanted, min_density=None, max_density=None, min_activation=None, max_activation=None)
    found = resources.map_of(here.engine, here.extraction, others, matching if others == wanted else None)
    fired = found if found is None or isinstance(found, DensityGrid) else [row for row in found if row[1] > 0]
    if not fired:
        st.info("None of these features ever fired, so there is nothing to draw.", icon=":material/scatter_plot:")
        return
    box = _box(wanted)
    figure = density_grid_chart(fired, box) if isinstance(fired, DensityGrid) else density_chart(fired, box)
    # Another filter is another chart, in which nothing is selected yet.
    key = f"map-{hash((here.id, wanted)):x}"
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, selection_mode=("box", "points"),
                    on_select=lambda: _select(key), alt="Chart of all features by density and maximum activation.")
    more = "Click a point to open its feature."
    if isinstance(fired, DensityGrid):
        more = f"Estimated from one in {fired.one_in} features." if fired.one_in > 1 else ""
    st.caption(f"Drag a box to list only the features in it. {more}")


def _box(wanted: FeatureFilter) -> Box | None:
    bounds = (wanted.min_density, wanted.max_density, wanted.min_activation, wanted.max_activation)
    return None if None in bounds else Box(bounds[:2], bounds[2:])


def _select(key: str) -> None:
    picked = st.session_state[key].selection
    if picked.box:
        density, maximum = (sorted(picked.box[0][axis]) for axis in ("x", "y"))
        filters.set_ranges([value / 100 for value in density], maximum)
    elif len(picked.points) == 1 and isinstance(picked.points[0].get("customdata"), int):
        st.query_params["f"] = str(picked.points[0]["customdata"])
