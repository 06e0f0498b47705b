"""The labels of two extractions, or of two labelers or runs on one, side by side."""


import streamlit as st
from sqlalchemy import Engine

from mistudio.search.encoder import ENCODER
from mistudio.store.comparison import Pair, Side, Totals, Which, pairs, totals
from mistudio.store.engine import session
from mistudio.store.extractions import list_extractions
from mistudio.store.runs import list_runs
from mistudio.store.tables import Extraction, Label, Run
from mistudio.ui.page import Here, link, told_apart
from mistudio.ui.tokens import html_safe, readable
from mistudio.ui.visiting import may_write
from mistudio.ui.wording import asked

ROWS = 25
CURRENT = "Current labels"
# Shown, and in the URL.
SHOWS: dict[str, Which] = {"Differ": "differ", "Same": "same", "Only the first": "first", "Only the second": "second",
                           "All": "any"}


def compare(here: Here) -> None:
    """Choose two sides, see how they stand to each other, and page through their labels."""
    first, second = _choose(here)
    if first is None:
        st.info("There is only one set of labels so far. Label these features by another model, or extract once more, "
                "and compare the two here.", icon=":material/info:")
        if may_write():
            link("pages/label.py", "Label by another model", ":material/label:", extraction_id=here.id)
        return
    if first == second:
        st.info("Both sides are the same labels. Choose another side.", icon=":material/info:")
        return
    found = _totals(str(here.engine.url), first, second, here.engine)
    _numbers(found)
    counts = {"differ": found.both - found.same, "same": found.same, "first": found.first, "second": found.second,
              "any": found.both + found.first + found.second}
    show = st.segmented_control("Show", list(SHOWS), key="show", bind="query-params", default="Differ", required=True,
                                label_visibility="collapsed")
    many = counts[SHOWS[show]]
    if not many:
        st.info("No feature is among these. Choose another of the lists above.", icon=":material/filter_alt_off:")
        return
    pages = -(-many // ROWS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{many:,} feature{'s' if many != 1 else ''}**", width="stretch")
        page = st.pagination(pages, key="compared", bind="query-params", max_visible_pages=5) if pages > 1 else 1
    with session(here.engine) as work:
        rows = pairs(work, first, second, SHOWS[show], encoder=ENCODER, limit=ROWS, offset=ROWS * (page - 1))
    st.html(table_html(rows, first, second))
    if any(pair.alike is None and pair.first and pair.second for pair in rows):
        st.caption("How alike two labels are in meaning is shown once a search has computed their meanings.")


def _choose(here: Here) -> tuple[Side | None, Side | None]:
    """The two sides; none where there is nothing to choose."""
    with session(here.engine) as work:
        extractions = {found.id: found for found in list_extractions(work) if found.state == "done"}
    names = told_apart(list(extractions.values()))
    own = _sides(here.engine, here.id)
    if len(own) == 1 and len(extractions) == 1:
        return None, None
    # Another extraction of the same SAE says most; else another labeler here.
    same = [found.id for found in extractions.values()
            if found.id != here.id and found.sae_hash == here.extraction.sae_hash]
    ids = [*same, here.id, *(each for each in extractions if each != here.id and each not in same)]
    left, middle, right = st.columns(3)
    first = left.selectbox("First: labels of this extraction", list(own), key="first", bind="query-params",
                           format_func=readable)
    other = middle.selectbox("Second: from extraction", ids, format_func=names.get, key="with", bind="query-params")
    sides = _sides(here.engine, other)
    second = right.selectbox("Second: its labels", list(sides), key="second", bind="query-params", format_func=readable,
                             index=1 if other == here.id and len(sides) > 1 else 0)
    _warn(here.extraction, extractions[other])
    return own[first], sides[second]


def _warn(first: Extraction, second: Extraction) -> None:
    if first.sae_hash != second.sae_hash:
        st.warning("These are two different SAEs. The same index is then not the same feature, and what stands side by "
                   "side has nothing in common.", icon=":material/warning:")


def _sides(engine: Engine, extraction_id: int) -> dict[str, Side]:
    """By what is shown: an extraction's current labels, those of each labeler that had several runs, and each run's."""
    with session(engine) as work:
        runs = [run for run in list_runs(work, extraction_id, limit=None) if run.kind == "label"]
    by: dict[str, list[Run]] = {}
    for run in runs:
        by.setdefault(asked(run), []).append(run)
    sides = {CURRENT: Side(extraction_id)}
    sides |= {f"All by {name}": Side(extraction_id, tuple(run.id for run in mine))
              for name, mine in by.items() if len(mine) > 1}
    return sides | {f"Run {run.id}: {name}": Side(extraction_id, (run.id,)) for name, mine in by.items()
                    for run in mine}


@st.cache_data(ttl=20, max_entries=16, show_spinner="Comparing")
def _totals(url: str, first: Side, second: Side, _engine: Engine) -> Totals:
    with session(_engine) as work:
        return totals(work, first, second)


def _numbers(found: Totals) -> None:
    columns = st.columns(4)
    columns[0].metric("Labeled in both", f"{found.both:,}", border=True)
    columns[1].metric("With the same text", f"{found.same:,}", border=True)
    for column, name, score in ((columns[2], "first", found.first_score), (columns[3], "second", found.second_score)):
        column.metric(f"Mean score, {name}", "–" if score is None else f"{score:.2f}", border=True,
                      help=f"Over the {found.scored:,} features whose labels are scored on both sides.")


def table_html(rows: list[Pair], first: Side, second: Side) -> str:
    """The pairs as a table; each label leads to its feature. How alike two are is left out where it is not known."""
    alike = any(pair.alike is not None for pair in rows)
    body = "".join(
        f'<tr><th scope="row" class="ms-number">{pair.index:,}</th>{_cell(pair, pair.first, first)}'
        f'{_cell(pair, pair.second, second)}{_alike(pair) if alike else ""}</tr>' for pair in rows)
    head = ('<th scope="col" class="ms-number" title="How near they are in meaning: the cosine of their vectors, 1 at '
            'most">Alike</th>' if alike else "")
    return ('<table class="ms-table"><thead><tr><th scope="col" class="ms-number">Feature</th>'
            f'<th scope="col">First</th><th scope="col">Second</th>{head}</tr></thead><tbody>{body}</tbody></table>')


def _alike(pair: Pair) -> str:
    return f'<td class="ms-number">{"" if pair.alike is None else f"{pair.alike:.2f}"}</td>'


def _cell(pair: Pair, label: Label | None, side: Side) -> str:
    if label is None:
        return '<td class="ms-small">no label</td>'
    score = "" if label.score is None else f'<span class="ms-score">scored {label.score:.2f}</span>'
    return (f'<td><a href="browse?x={side.extraction_id}&amp;f={pair.index}" target="_self" '
            f'title="{html_safe(label.explanation)}">{html_safe(label.text)}</a>{score}</td>')
