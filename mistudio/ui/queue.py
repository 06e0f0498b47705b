"""Which features Review goes through and in which order, and the way of this session through them."""

from collections.abc import Collection
from dataclasses import dataclass, field

import streamlit as st
from sqlmodel import Session

from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter, Sort, neighbours
from mistudio.store.items import failed_items
from mistudio.store.runs import list_runs
from mistudio.ui import filters
from mistudio.ui.page import Here, link
from mistudio.ui.tokens import markdown_safe

# Shown, and in the URL. The last is there only while the address holds a filter.
QUEUES = ("Unreviewed", "Labeled", "Rejected", "Unlabeled", "Failed", "Filter")
ORDERS: dict[str, tuple[Sort, bool]] = {
    "Need": ("need", True), "Lowest score": ("score", False), "Highest score": ("score", True),
    "Highest density": ("density", True), "Disagreement": ("disagreement", True), "Strongest": ("max_activation", True),
    "Label": ("label", False), "Index": ("index", False)}
LONGEST_WAY = 1000


@dataclass(frozen=True)
class Queue:
    """What is gone through: the filter (None where nothing can match), and what it is sorted by."""

    name: str
    wanted: FeatureFilter | None
    sort: Sort
    descending: bool

    def first(self, work: Session, extraction_id: int) -> int | None:
        """The index that comes first; None where nothing waits."""
        return self.around(work, extraction_id, -1)[1]

    def around(self, work: Session, extraction_id: int, index: int,
               but: Collection[int] = ()) -> tuple[int | None, int | None]:
        """Indices before and after a feature in this order, passing over some."""
        return neighbours(work, extraction_id, self.wanted, index, self.sort, descending=self.descending, but=but)


def choose_queue(here: Here) -> Queue:
    """The widgets, bound to the URL."""
    only = st.query_params.get("only", "")
    names = [name for name in QUEUES if name != "Filter" or only]
    with st.container(horizontal=True):
        name = st.segmented_control("Queue", names, key="queue", bind="query-params", required=True,
                                    default="Filter" if only else QUEUES[0], width="stretch", on_change=begin)
        order = st.selectbox("Order", list(ORDERS), key="order", bind="query-params", width=170, on_change=begin,
                             help="Need: low scores, high density, judges that disagree, and what nobody has opened "
                                  "come first.")
    if name == "Filter":
        wanted = filters.from_url(only)
        st.caption(f"From Browse: {markdown_safe(filters.in_words(wanted))}")
        link("pages/browse.py", "Change the filter", ":material/filter_alt:", extraction_id=here.id)
    elif name == "Failed":
        wanted = _failed(here)
    else:
        wanted = FeatureFilter(labels=name.lower())
    return Queue(name, wanted, *ORDERS[order])


def _failed(here: Here) -> FeatureFilter | None:
    """Features that failed in the latest runs and still have no label."""
    with session(here.engine) as work:
        runs = list_runs(work, here.id, limit=5)
        indices = {index for run in runs for index, _item in failed_items(work, run.id, limit=1000)}
    return FeatureFilter(labels="unlabeled", indices=tuple(sorted(indices))) if indices else None


@dataclass
class Way:
    """Features this session went through in one queue, and what lay around the one that is open when it was opened.

    Judged features leave the queue, and opened ones move in it, so the queue alone does not know the way back.
    """

    queue: tuple
    visited: list[int] = field(default_factory=list)
    place: int = -1
    before: int | None = None
    after: int | None = None

    def step_to(self, index: int) -> bool:
        """Go to a feature. False when it is open already."""
        for place in (self.place, self.place + 1, self.place - 1):
            if 0 <= place < len(self.visited) and self.visited[place] == index:
                moved, self.place = place != self.place, place
                return moved
        self.visited[self.place + 1:] = [index]
        del self.visited[:-LONGEST_WAY]
        self.place = len(self.visited) - 1
        return True

    def around(self) -> tuple[int | None, int | None]:
        """Where Previous and Next lead."""
        before = self.visited[self.place - 1] if self.place else self.before
        on = self.place + 1
        return before, self.visited[on] if on < len(self.visited) else self.after


def walk(work: Session, here: Here, queue: Queue, index: int, *, waiting: int) -> tuple[int | None, int | None]:
    """Open a feature: indices of those that Previous and Next lead to. At its end the queue begins again."""
    key = (here.id, queue)
    way = st.session_state.get("way")
    if way is None or way.queue != key:
        way = st.session_state["way"] = Way(key)
    if way.step_to(index):
        way.before = way.after = None
        if waiting:
            # What was opened has sunk, and may lie ahead again: it is not shown twice before all others were.
            way.before, way.after = queue.around(work, here.id, index, way.visited)
            for but in (way.visited, [index]):
                if way.after is None:
                    way.after = queue.around(work, here.id, -1, but)[1]
    return way.around()


def begin() -> None:
    """Go to what comes first in the queue now."""
    st.session_state.pop("way", None)
    st.query_params.pop("f", None)

