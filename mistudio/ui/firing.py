"""What fires on a text, token by token, and where one feature does. Model and SAE are loaded when asked for."""

import streamlit as st

from mistudio.search.fires import DENSE_ABOVE, MOST_TOKENS, Reader, Reading, load_reader, strongest
from mistudio.store.engine import session
from mistudio.store.features import get_feature
from mistudio.store.search import Named, names_of
from mistudio.store.tables import Extraction, Label
from mistudio.ui import resources
from mistudio.ui.page import Here, feature_in_url, link
from mistudio.ui.tokens import markdown_safe, readable, text_html, text_of, visible
from mistudio.ui.turns import aside

SAMPLE = ("The court ruled on March 4, 2001 that a price of $12.50, up 3%, was lawful.\n"
          "def mean(values):\n    return sum(values) / len(values)")
PLACES = ("Strongest", "Second", "Third")
LISTED = 50


def show_firing(here: Here) -> None:
    """The text, its tokens' strongest features, and one feature on all of it: the one in the URL, if there is one."""
    index = feature_in_url()
    if index is not None:
        with session(here.engine) as work:
            _feature, label = get_feature(work, here.id, index)
    with st.form("read", border=False):
        text = st.text_area("Text", SAMPLE, key="passage", persist_state="session", height=120, max_chars=40_000,
                            help=f"At most {MOST_TOKENS} tokens are read.")
        asked = st.form_submit_button("See what fires", type="primary", icon=":material/bolt:")
    kept = st.session_state.get("reading")
    if asked:
        kept = st.session_state["reading"] = (here.id, _read(here, text))
    if kept is None or kept[0] != here.id:
        if index is not None:
            st.markdown(f"**Feature {index:,}** ({_named(label)}) is shown on this text once it has been read.")
        st.caption(f"The text is run through {markdown_safe(here.extraction.model)} up to "
                   f"{markdown_safe(here.extraction.hook_point)} and through its SAE, on the machine of this server. "
                   "The first time, loading takes some seconds.")
        return
    _results(here, kept[1], index)


def _read(here: Here, text: str) -> Reading:
    with aside(f"Loading {markdown_safe(here.extraction.model)} and its SAE, the first time only"):
        reader = _reader(_key(here.extraction), here.extraction)
    with aside("Reading the text"):
        return reader.read(text)


def _key(extraction: Extraction) -> str:
    return f"{extraction.id} {extraction.created_at.isoformat()} {extraction.sae_hash}"


# One at a time: a model takes memory.
@st.cache_resource(max_entries=1, show_spinner=False)
def _reader(key: str, _extraction: Extraction) -> Reader:
    return load_reader(_extraction)


def _results(here: Here, reading: Reading, index: int | None) -> None:
    if reading.cut:
        st.info(f"The text is longer than {MOST_TOKENS} tokens. Its end was left out.", icon=":material/content_cut:")
    with session(here.engine) as work:
        names = names_of(work, here.id, reading.shown)
    dense = st.toggle("Dense features too", key="dense", bind="query-params",
                      help="Features that are active on over a tenth of all tokens say little of one token.")
    features = strongest(reading, names, len(PLACES), dense=dense)
    table, chosen = st.columns([6, 5], gap="large")
    with table:
        by_token, by_feature = st.tabs(["By token", "By feature"])
        with by_token:
            _tokens(here, reading, features)
        with by_feature:
            _features(reading, names, dense)
    with chosen, st.container(border=True):
        _one_feature(here, reading, _first(features) if index is None else index)


def _first(features: list[list[tuple[Named, float]]]) -> int:
    """The labeled feature that fires most strongly, or else any."""
    best = max((each for of_token in features for each in of_token), default=None,
               key=lambda each: (each[0].label is not None, each[1]))
    return best[0].index if best else 0


def _tokens(here: Here, reading: Reading, features: list[list[tuple[Named, float]]]) -> None:
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    rows = [{"Token": visible(text_of(int(token), vocabulary))} | {
        name: _in_words(*of_token[at]) if at < len(of_token) else "" for at, name in enumerate(PLACES)}
        for token, of_token in zip(reading.tokens, features, strict=True)]
    st.dataframe(rows, key="by-token", hide_index=True, selection_mode="single-cell", on_select=_pick_cell(features),
                 height=420, column_config={"Token": st.column_config.TextColumn(width=90)})
    st.caption("Select a cell to see that feature on the whole text. In brackets: how strongly it fires.")


def _pick_cell(features: list[list[tuple[Named, float]]]):
    def picked() -> None:
        for row, column in st.session_state["by-token"].selection.cells:
            place = PLACES.index(column) if column in PLACES else 0
            if place < len(features[row]):
                st.query_params["f"] = str(features[row][place][0].index)

    return picked


def _in_words(found: Named, activation: float) -> str:
    return f"{readable(found.label or f'feature {found.index}')} ({activation:.1f})"


def _features(reading: Reading, names: dict[int, Named], dense: bool) -> None:
    found = [each for each in names.values() if dense or each.density <= DENSE_ABOVE]
    found.sort(key=lambda each: -reading.peaks[each.index])
    shown = found[:LISTED]

    def picked() -> None:
        rows = st.session_state["by-feature"].selection.rows
        if rows:
            st.query_params["f"] = str(shown[rows[0]].index)

    st.dataframe(
        [{"Feature": each.index, "Label": readable(each.label or ""), "Strongest": float(reading.peaks[each.index]),
          "Of its maximum": min(float(reading.peaks[each.index]) / each.max_activation, 1.0) if each.max_activation
          else None} for each in shown],
        key="by-feature", hide_index=True, selection_mode="single-row", on_select=picked, height=420,
        column_config={"Feature": st.column_config.NumberColumn(width=70, format="%d"),
                       "Strongest": st.column_config.NumberColumn(format="%.1f", help="Its activation at the token "
                                                                  "of this text where it fires most."),
                       "Of its maximum": st.column_config.ProgressColumn(
                           min_value=0, max_value=1, format="percent",
                           help="That, beside its strongest activation in the corpus.")})
    more = f" The strongest {LISTED} of {len(found):,} are shown." if len(found) > LISTED else ""
    st.caption(f"Features that are among a token's strongest. Select a row to see one on the text.{more}")


def _one_feature(here: Here, reading: Reading, index: int) -> None:
    # Its key holds the index, so that a feature picked in a table shows here too.
    key = f"tested-{index}"
    st.number_input("Test a feature on this text", 0, here.extraction.d_sae - 1, index, key=key,
                    on_change=lambda: st.query_params.update(f=str(st.session_state[key])))
    with session(here.engine) as work:
        feature, label = get_feature(work, here.id, index)
    st.markdown(f"**{_named(label)}**")
    values = _reader(_key(here.extraction), here.extraction).activations(reading, index)
    vocabulary = resources.vocabulary(here.engine, here.extraction)
    top = feature.max_activation or float(values.max())
    st.html(text_html(reading.tokens, values, top, vocabulary))
    active = int((values > 0).sum())
    st.caption(f"Active on {active:,} of {len(values):,} tokens"
               + (f", at most {values.max():.1f}; in the corpus at most {top:.1f}." if active else "."))
    link("pages/browse.py", "Open in Browse", ":material/open_in_full:", extraction_id=here.id, f=index)


def _named(label: Label | None) -> str:
    return markdown_safe(label.text) if label else "not labeled yet"
