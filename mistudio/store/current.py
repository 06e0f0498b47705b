"""What a feature holds of its current label, kept in step at this one place."""

from collections.abc import Mapping

from sqlalchemy import bindparam, update
from sqlalchemy.orm import util
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session

from mistudio.store.tables import Feature, Label

# States of a label that a run must keep its hands off: a person wrote or approved it.
PROTECTED_STATES = ("approved", "human")
LONGEST_KEY = 200
_KEPT = ("label_id", "score", "label_state", "label_key", "origin", "provider", "kind", "confidence", "disagreement")
# Prepared once, for every label of a run: to build statements anew takes longer than to run them.
_FEATURES = Feature.__table__
_POINT = update(_FEATURES).where(_FEATURES.c.id == bindparam("of_feature")).values(
    {name: bindparam(f"new_{name}") for name in _KEPT})
_FOLLOW = _POINT.where(_FEATURES.c.label_id == bindparam("of_label"))


def label_state(label: Label | None) -> str:
    """What people know of a label: unlabeled, unreviewed, approved, rejected or human."""
    if label is None:
        return "unlabeled"
    if label.verdict == "rejected":
        return "rejected"
    if label.origin == "human":
        return "human"
    return "approved" if label.verdict == "approved" else "unreviewed"


def label_key(text: str) -> str:
    """What labels are sorted by: their text without a difference of case."""
    return text.casefold()[:LONGEST_KEY]


def point(work: Session, labels: Mapping[int, Label | None]) -> None:
    """Make stored labels (or none) current, by feature id."""
    kept = {feature_id: _kept(label) for feature_id, label in labels.items()}
    work.exec(_POINT, params=[_params(feature_id, values) for feature_id, values in kept.items()])
    for feature_id, values in kept.items():
        _tell(work, feature_id, values)


def follow(work: Session, label: Label) -> None:
    """Bring a feature in step with a label that was changed, if it is the current one.

    In one statement: whoever makes another label current meanwhile must not get what this one says.
    """
    values = _kept(label)
    if work.exec(_FOLLOW, params=_params(label.feature_id, values) | {"of_label": label.id}).rowcount:
        _tell(work, label.feature_id, values)


def _kept(label: Label | None) -> dict:
    values = dict.fromkeys(_KEPT) | {"label_state": label_state(label)}
    if label is not None:
        values |= {"label_id": label.id, "score": label.score, "label_key": label_key(label.text),
                   "origin": label.origin, "provider": label.provider or None, "kind": label.kind or None,
                   "confidence": label.confidence, "disagreement": label.disagreement}
    return values


def _params(feature_id: int, values: dict) -> dict:
    return {"of_feature": feature_id} | {f"new_{name}": value for name, value in values.items()}


def _tell(work: Session, feature_id: int, values: dict) -> None:
    """A feature that the session has read already is not read again."""
    known = work.identity_map.get(util.identity_key(Feature, feature_id))
    if known is not None:
        for name, value in values.items():
            set_committed_value(known, name, value)
