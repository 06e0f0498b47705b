"""Widgets for the options of a run, made from ``LabelConfig`` itself: a new field there is a new widget here."""

from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from mistudio.label.config import LabelConfig

CHOSEN_ELSEWHERE = ("provider", "model", "base_url")
NAMES = {"examples": "Examples shown", "strategy": "Which examples", "negatives": "Silent examples",
         "concurrency": "Calls at a time", "replace_human": "Replace labels by people", "timeout": "Timeout (seconds)"}


def choose_options() -> dict[str, Any]:
    """One widget for each option, with the field's own help; what is chosen stays for the browser session."""
    fields = {name: field for name, field in LabelConfig.model_fields.items() if name not in CHOSEN_ELSEWHERE}
    columns = st.columns(2)
    values = {}
    for place, (name, field) in enumerate(fields.items()):
        with columns[place % 2]:
            values[name] = _widget(name, field)
    return values


def _widget(name: str, field: FieldInfo) -> Any:
    shown = NAMES.get(name, name.replace("_", " ").capitalize())
    common = {"help": field.description, "key": f"option_{name}", "persist_state": "session"}
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return st.selectbox(shown, choices, index=choices.index(field.default), **common)
    if field.annotation is bool:
        return st.toggle(shown, value=field.default, **common)
    kinds = {field.annotation, *get_args(field.annotation)}
    whole = int in kinds
    low, high = (_limit(field, *sides) for sides in (("ge", "gt"), ("le", "lt")))
    kind = int if whole else float
    return st.number_input(
        shown, min_value=None if low is None else kind(low), max_value=None if high is None else kind(high),
        value=None if field.default is None else kind(field.default), step=1 if whole else (1.0 if high != 2 else 0.1),
        placeholder="provider's default", **common)


def _limit(field: FieldInfo, *sides: str) -> float | None:
    return next((getattr(limit, side) for limit in field.metadata for side in sides if hasattr(limit, side)), None)
