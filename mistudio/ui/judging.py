"""What a person does to labels, each with what it takes to undo it. Undo is kept for the browser session."""

from dataclasses import dataclass
from typing import Protocol

import streamlit as st
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import visitor
from mistudio.errors import StoreError
from mistudio.jobs.proposing import propose, try_labels
from mistudio.label.config import LabelConfig
from mistudio.label.providers import make_provider
from mistudio.store.bulk import JudgedMany, judge_many, take_back
from mistudio.store.engine import session
from mistudio.store.features import FeatureFilter
from mistudio.store.labels import current_label, edit_label, judge_label, make_current, point_to
from mistudio.store.tables import Feature, Label

MOST_UNDONE = 100
_SINCE = "Its label was changed by somebody else, or by a run, meanwhile."


@dataclass(frozen=True)
class Undone:
    """What was taken back, in a sentence; ``index`` is its feature, None where it was of many."""

    said: str
    index: int | None = None


class Done(Protocol):
    """Something that can be taken back."""

    def undo(self, work: Session) -> Undone:
        """Take it back. Raises: StoreError, where something newer stands in its way."""
        ...


@dataclass(frozen=True)
class DoneOne:
    """One feature's label as it was, and as the action left it: ids and verdicts."""

    feature_id: int
    index: int
    before: tuple[int | None, str]
    after: tuple[int | None, str]

    def undo(self, work: Session) -> Undone:
        if _standing(current_label(work, self.feature_id)) != self.after:
            raise StoreError(f"Feature {self.index:,} was left as it is. {_SINCE}", "Look at it again.")
        label_id, verdict = self.before
        point_to(work, self.feature_id, label_id)
        if label_id is not None and verdict != work.get_one(Label, label_id).verdict:
            judge_label(work, label_id, verdict, author=visitor().name)
        return Undone(f"Feature {self.index:,} is as it was before.", self.index)


@dataclass(frozen=True)
class DoneMany:
    """A verdict on many labels."""

    judged: JudgedMany

    def undo(self, work: Session) -> Undone:
        count = take_back(work, self.judged)
        return Undone(f"{count:,} labels are no longer {self.judged.verdict}.")


def can_undo() -> bool:
    """Whether this session did something that can be taken back."""
    return bool(st.session_state.get("undo"))


def undo(engine: Engine) -> Undone | None:
    """Take the last action back; None when there is nothing to undo.

    Raises:
        StoreError: somebody else has changed the same label since.
    """
    if not can_undo():
        return None
    done: Done = st.session_state["undo"].pop()
    with session(engine) as work:
        return done.undo(work)


def judge(engine: Engine, feature: Feature, label_id: int, verdict: str) -> None:
    """Approve or reject the label that the person sees.

    Raises:
        StoreError: it is no longer the current one.
    """
    with session(engine) as work:
        label = current_label(work, feature.id)
        if label is None or label.id != label_id:
            raise StoreError(f"Nothing was stored for feature {feature.index:,}. {_SINCE}", "Look at the new label.")
        before = _standing(label)
        judge_label(work, label.id, verdict, author=visitor().name)
        after = _standing(label)
    _remember(DoneOne(feature.id, feature.index, before, after))


def edit(engine: Engine, feature: Feature, text: str, explanation: str) -> None:
    """Store a person's own label.

    Raises:
        StoreError: the text is empty.
    """
    with session(engine) as work:
        before = _standing(current_label(work, feature.id))
        after = _standing(edit_label(work, feature.id, text, explanation.strip(), author=visitor().name))
    _remember(DoneOne(feature.id, feature.index, before, after))


def choose(engine: Engine, feature: Feature, label_id: int) -> None:
    """Make a label of the feature's history current, and measure it on the test split."""
    with session(engine) as work:
        before = _standing(current_label(work, feature.id))
        point_to(work, feature.id, label_id)
        after = _standing(work.get_one(Label, label_id))
    _remember(DoneOne(feature.id, feature.index, before, after))
    try_labels(engine, feature.id, [label_id], "test")


def judge_all(engine: Engine, extraction_id: int, wanted: FeatureFilter, verdict: str) -> int:
    """Approve or reject the labels of all matching features that nobody has judged. Returns how many these were."""
    with session(engine) as work:
        judged = judge_many(work, extraction_id, wanted, verdict, author=visitor().name)
    if judged.count:
        _remember(DoneMany(judged))
    return judged.count


@dataclass(frozen=True)
class Proposals:
    """Labels to choose from: ``before`` is the one that was there, if any, and ``made`` the new ones, best first.
    ``unscored`` is why one of them has no score, empty where all have; ``said`` is what came of it, in words."""

    feature_id: int
    before: int | None
    made: tuple[int, ...]
    unscored: str
    said: str


def regenerate(engine: Engine, feature: Feature, config: LabelConfig, api_key: str | None, *,
               different: bool) -> Proposals:
    """Ask for other labels. The best becomes current, unless a person wrote or approved the present one.

    Raises:
        MistudioError: no label came back; the old one stays.
    """
    provider = make_provider(config, api_key)
    try:
        made = propose(engine, feature.id, config, provider, different=different)
    finally:
        provider.close()
    best = made[0]
    with session(engine) as work:
        before = current_label(work, feature.id)
        taken = best.id in make_current(work, [best])
    if taken:
        _remember(DoneOne(feature.id, feature.index, _standing(before), _standing(best)))
        try_labels(engine, feature.id, [best.id], "test")
    asked, new = config.candidates, tuple(label.id for label in made)
    said = [f"New label: {best.text}.", "" if taken else "The one by a person stays until you choose.",
            f"Of {asked} answers, {asked - len(new)} said the same or could not be read." if len(new) < asked else "",
            best.evidence.get("note", "")]
    why = try_labels(engine, feature.id, [*([before.id] if before else []), *new], "select")
    return Proposals(feature.id, before.id if before else None, new, why, " ".join(filter(None, said)))


def _standing(label: Label | None) -> tuple[int | None, str]:
    return (label.id, label.verdict) if label else (None, "")


def _remember(done: Done) -> None:
    kept = st.session_state.setdefault("undo", [])
    kept.append(done)
    del kept[:-MOST_UNDONE]
