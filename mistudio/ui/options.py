"""Widgets for the options of a job, made from its config itself: a new field there is a new widget here."""

from typing import Any, get_args

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

NAMES = {"examples": "Examples shown", "strategy": "Which examples", "negatives": "Silent examples",
         "window": "Tokens of an example", "factual": "One-token features by statistics",
         "concurrency": "Calls at a time", "replace_human": "Replace labels by people", "timeout": "Timeout (seconds)",
         "budget_dollars": "Budget (US dollars)", "budget_tokens": "Budget (tokens)",
         "choose_by": "Choose candidates by", "revise_below": "Revise below (score)",
         "keep_better": "Keep the present label if it is better", "per_call": "Windows a call",
         "active": "Active windows", "silent": "Silent windows", "baseline": "Share with a wrong label",
         "again": "Score again", "sae": "SAE", "prepend_bos": "Begin with BOS", "pack": "Pack documents",
         "dtype": "Number format", "base": "Model that learns", "labels": "Labels to learn from",
         "min_score": "Only from a score of", "held_out": "Share held out", "most": "Most labels",
         "fresh": "Begin untrained"}

# What an empty field means, where nothing is chosen in its place.
UNSET = {"budget_dollars": "no limit", "budget_tokens": "no limit", "revise_below": "never",
         "min_score": "any"}
AS_IT_SAYS = {"as the SAE's files say": None, "yes": True, "no": False}


def choose_options(config: type[BaseModel], *, only: tuple[str, ...] = (), leave_out: tuple[str, ...] = (),
                   columns: int = 2) -> dict:
    """One widget for each option, with the field's own help; what is chosen stays for the browser session.

    Args:
        only: the fields to show; all when empty.
        leave_out: fields that are chosen elsewhere.
        columns: widgets beside each other.
    """
    names = [name for name in only or config.model_fields if name not in leave_out]
    places = st.columns(columns)
    values = {}
    for place, name in enumerate(names):
        with places[place % columns]:
            values[name] = _widget(config, name)
    return values


def fill_options(config: BaseModel, leave_out: tuple[str, ...] = ()) -> None:
    """Set the widgets to the values of a config."""
    for name, value in config.model_dump(exclude=set(leave_out)).items():
        st.session_state[_key(type(config), name)] = value


def in_words(config: BaseModel, leave_out: tuple[str, ...] = ()) -> str:
    """What differs from the defaults, as a short phrase; "" where nothing does."""
    said = [(name, value) for name, value in config.model_dump(exclude=set(leave_out)).items()
            if value != type(config).model_fields[name].default]
    return ", ".join(_shown(name) + ("" if value is True else f" {'no' if value is False else value}")
                     for name, value in said)


def _shown(name: str) -> str:
    return NAMES.get(name, name.replace("_", " ").capitalize())


def _key(config: type[BaseModel], name: str) -> str:
    return f"{config.__name__}_{name}"


def _widget(config: type[BaseModel], name: str) -> Any:
    field = config.model_fields[name]
    shown = _shown(name)
    common = {"help": field.description, "key": _key(config, name), "persist_state": "session"}
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return st.selectbox(shown, choices, index=choices.index(field.default), **common)
    if field.annotation is bool:
        return st.toggle(shown, value=field.default, **common)
    kinds = {field.annotation, *get_args(field.annotation)}
    if bool in kinds:
        picked = st.selectbox(shown, list(AS_IT_SAYS), **common)
        return AS_IT_SAYS[picked]
    if str in kinds:
        default = None if field.is_required() else field.default
        return (st.text_input(shown, value=default or "", **common) or "").strip() or None
    whole = int in kinds
    low, high = (_limit(field, *sides) for sides in (("ge", "gt"), ("le", "lt")))
    kind = int if whole else float
    return st.number_input(
        shown, min_value=None if low is None else kind(low), max_value=None if high is None else kind(high),
        value=None if field.default is None else kind(field.default), step=1 if whole else _step(high),
        format="%d" if whole else "%g", placeholder=UNSET.get(name, "automatic"), **common)


def _step(high: float | None) -> float:
    """A step that leads somewhere between 0 and the most."""
    return 1.0 if high is None or high > 2 else 0.1 if high == 2 else 0.05 if high > 0.1 else 1e-4


def _limit(field: FieldInfo, *sides: str) -> float | None:
    return next((getattr(limit, side) for limit in field.metadata for side in sides if hasattr(limit, side)), None)
