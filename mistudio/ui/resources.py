"""What is loaded once a process and shared by every visitor. Nothing here imports torch."""

import gc
import hashlib
import sys
from dataclasses import asdict

import streamlit as st
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.score.report import MOST_READ, Report, report
from mistudio.settings import settings
from mistudio.store.engine import open_store
from mistudio.store.examples import Examples, load_examples, load_vocabulary
from mistudio.store.extractions import coverage
from mistudio.store.features import MOST_CHARTED, DensityGrid, FeatureFilter, count_features, density_grid, points
from mistudio.store.scores import newest_score
from mistudio.store.tables import Extraction, Feature

# A thread that has let go of the interpreter, as it does for each row of a query and each step of the encoder, waits so
# many seconds before it asks a busy one for its turn. With Python's usual 5 ms, fifty visitors waited three times as
# long as they do now.
sys.setswitchinterval(0.0005)
MANY_MODULES = 50
_settled = 0


def settle() -> None:
    """Keep what a page has imported out of Python's full collections. Else each of these goes through all of it anew,
    and whoever's page is being made then waits for a tenth of a second or two."""
    global _settled
    if len(sys.modules) > _settled + MANY_MODULES:
        _settled = len(sys.modules)
        gc.collect()
        gc.freeze()


def engine() -> Engine:
    """The database of the settings, opened once a process.

    Raises:
        StoreError: it cannot be opened.
    """
    # A database URL may hold a password, so only its digest becomes a cache key.
    url = settings().url
    return _engine(hashlib.sha256(url.encode()).hexdigest(), url)


@st.cache_resource(max_entries=4, show_spinner=False, on_release=Engine.dispose)
def _engine(digest: str, _url: str) -> Engine:
    return open_store(_url)


def vocabulary(opened: Engine, extraction: Extraction) -> list[str]:
    """The text of every token id of the extraction's model; empty when it stored none."""
    return _vocabulary(extraction.vocabulary_hash, opened)


@st.cache_resource(max_entries=4, show_spinner=False)
def _vocabulary(hashed: str, _engine: Engine) -> list[str]:
    with Session(_engine) as work:
        return load_vocabulary(work, hashed)


def examples_of(opened: Engine, feature: Feature) -> Examples | None:
    """A feature's examples, read afresh (one blob, well under a millisecond)."""
    with Session(opened) as work:
        return load_examples(work, feature)


def quality_of(opened: Engine, extraction: Extraction) -> Report:
    """What the scores of the current labels say, read anew when a score or a count of labels is another, and after a
    minute. Of so many features that only some are drawn, after a minute alone: while a run goes on, each visitor would
    else read them again for what chance changes more than the newest labels do."""
    with Session(opened) as work:
        newest, counts = newest_score(work), asdict(coverage(work, extraction.id))
        if counts["features"] > MOST_READ:
            newest, counts = min(newest, 1), {}
        return _quality(str(opened.url), extraction.id, newest, counts, opened)


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _quality(url: str, extraction_id: int, newest: int, counts: dict, _engine: Engine) -> Report:
    with Session(_engine) as work:
        return report(work, extraction_id, quick=True)


def map_of(opened: Engine, extraction: Extraction, wanted: FeatureFilter,
           counted: int | None) -> list[tuple] | DensityGrid | None:
    """The matching features for a chart, at most a minute old: each (``store.features.points``), or where they are too
    many counts in a grid; None where none ever fired.

    Args:
        counted: how many match, where that is known.
    """
    return _map(str(opened.url), extraction.id, wanted.as_dict(), opened, wanted, counted)


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _map(url: str, extraction_id: int, key: dict, _engine: Engine, _wanted: FeatureFilter,
         _counted: int | None) -> list[tuple] | DensityGrid | None:
    with Session(_engine) as work:
        if _counted is None:
            _counted = count_features(work, extraction_id, _wanted)
        if _counted <= MOST_CHARTED:
            return points(work, extraction_id, _wanted)
        return density_grid(work, extraction_id, _wanted, counted=_counted)
