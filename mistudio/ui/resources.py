"""What is loaded once a process and shared by every visitor. Nothing here imports torch."""

import hashlib

import streamlit as st
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.settings import settings
from mistudio.store.engine import open_store
from mistudio.store.examples import Examples, load_examples, load_vocabulary
from mistudio.store.features import DensityGrid, FeatureFilter, count_features, density_grid, points
from mistudio.store.tables import Extraction, Feature

MOST_POINTS = 10_000  # of a chart; more would be slow to send and draw, and could not be told apart


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


def map_of(opened: Engine, extraction: Extraction, wanted: FeatureFilter) -> list[tuple] | DensityGrid | None:
    """The matching features for a chart, at most a minute old: each (``store.features.points``), or where they are too
    many counts in a grid; None where none ever fired."""
    return _map(str(opened.url), extraction.id, wanted.as_dict(), opened, wanted)


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _map(url: str, extraction_id: int, key: dict, _engine: Engine,
         _wanted: FeatureFilter) -> list[tuple] | DensityGrid | None:
    with Session(_engine) as work:
        if count_features(work, extraction_id, _wanted) <= MOST_POINTS:
            return points(work, extraction_id, _wanted)
        return density_grid(work, extraction_id, _wanted)
