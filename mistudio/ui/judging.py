"""What a person does to a label, each with what it takes to undo it. Undo is kept for the browser session."""

import streamlit as st
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.errors import StoreError
from mistudio.label.config import LabelConfig
from mistudio.settings import settings
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter
from mistudio.store.items import failed_items
from mistudio.store.labels import current_label, edit_label, judge_label, point_to
from mistudio.store.runs import list_runs
from mistudio.store.tables import Feature, Label

MOST_UNDONE = 100


def failed_features(work: Session, extraction_id: int) -> FeatureFilter | None:
    """Features that failed in the latest runs and still have no label; None when there is none."""
    runs = list_runs(work, extraction_id, limit=5)
    indices = {index for run in runs for index, _item in failed_items(work, run.id, limit=1000)}
    return FeatureFilter(labels="unlabeled", indices=tuple(sorted(indices))) if indices else None


def can_undo() -> bool:
    """Whether this session did something that can be taken back."""
    return bool(st.session_state.get("undo"))


def judge(engine: Engine, feature: Feature, verdict: str) -> None:
    """Approve or reject the current label."""
    with session(engine) as work:
        label = current_label(work, feature.id)
        if label is None:
            raise StoreError("This feature has no label to judge.", "Write one, or label it first.")
        before = label.model_copy()
        judge_label(work, label.id, verdict, author=settings().author)
    _remember(feature, before)


def edit(engine: Engine, feature: Feature, text: str, explanation: str) -> None:
    """Store a person's own label.

    Raises:
        StoreError: the text is empty.
    """
    with session(engine) as work:
        before = current_label(work, feature.id)
        edit_label(work, feature.id, text, explanation.strip(), author=settings().author)
    _remember(feature, before)


def regenerate(engine: Engine, extraction_id: int, feature: Feature, config: LabelConfig, api_key: str | None) -> Label:
    """Ask for another label from other examples, and make it current: the person asked for it.

    Raises:
        MistudioError: no label came back; the old one stays.
    """
    from mistudio.jobs.labeling import label_one
    from mistudio.label.providers import make_provider

    with session(engine) as work:
        before = current_label(work, feature.id)
    label = label_one(engine, extraction_id, feature.index, config, make_provider(config, api_key), different=True)
    with session(engine) as work:
        point_to(work, feature.id, label.id)
    _remember(feature, before)
    return label


def undo(engine: Engine) -> int | None:
    """Take the last action back; returns the index of its feature, or None when there is nothing to undo."""
    if not can_undo():
        return None
    feature_id, index, label_id, verdict = st.session_state["undo"].pop()
    with session(engine) as work:
        point_to(work, feature_id, label_id)
        if label_id is not None:
            judge_label(work, label_id, verdict, author=settings().author)
    return index


def _remember(feature: Feature, label: Label | None) -> None:
    done = st.session_state.setdefault("undo", [])
    done.append((feature.id, feature.index, label.id if label else None, label.verdict if label else ""))
    del done[:-MOST_UNDONE]
