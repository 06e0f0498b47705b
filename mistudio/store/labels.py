"""Labels are only ever added; a feature points at its current one, and a person's word outranks a run's."""

from collections.abc import Collection

from sqlalchemy import Connection, Row, bindparam, func
from sqlalchemy import text as sql
from sqlmodel import Session, col, select

from mistudio.errors import StoreError
from mistudio.store.current import PROTECTED_STATES, follow, label_state, point
from mistudio.store.tables import Feature, Label, now

MAX_WORDS = 8
LONGEST_LABEL, LONGEST_EXPLANATION = 2_000, 20_000  # characters
# Prepared once, for every label of a run: to build statements anew takes longer than to run them.
_CURRENT = select(Label).join(Feature, col(Feature.label_id) == Label.id).where(Feature.id == bindparam("of_feature"))
_BEFORE = (select(Feature.id, Feature.top_tokens, Feature.label_state)
           .where(col(Feature.id).in_(bindparam("of_features", expanding=True))))
_UNINDEX = sql("DELETE FROM label_fts WHERE rowid = :id")
_INDEX = sql("INSERT INTO label_fts(rowid, label, explanation, tokens) VALUES (:id, :label, :explanation, :tokens)")


def is_protected(label: Label | None) -> bool:
    """Whether a run must keep its hands off: a person wrote or approved this label."""
    return label_state(label) in PROTECTED_STATES


def current_label(work: Session, feature_id: int) -> Label | None:
    """The label a feature points at."""
    return work.exec(_CURRENT, params={"of_feature": feature_id}).one_or_none()


def add_label(work: Session, label: Label, *, replace_protected: bool = False, current: bool = True) -> bool:
    """Store a label and make it current, unless a person's label stands in its way (it is then only history).

    Args:
        current: false for a label that is only to be in the history.

    Returns:
        Whether it became the current label.

    Raises:
        StoreError: the label has no text.
    """
    add_to_history(work, [label])
    return current and label.id in make_current(work, [label], replace_protected=replace_protected)


def add_to_history(work: Session, labels: Collection[Label]) -> None:
    """Store labels without making them current. Raises: StoreError, when one has no text, or far too much."""
    for label in labels:
        label.text = label.text.strip()
        if not label.text:
            raise StoreError("A label cannot be empty.", "Write a few words, or reject the label instead.")
        if len(label.text) > LONGEST_LABEL or len(label.explanation) > LONGEST_EXPLANATION:
            raise StoreError(f"A label of {len(label.text):,} characters with an explanation of "
                             f"{len(label.explanation):,} is too long.",
                             f"The most are {LONGEST_LABEL:,} and {LONGEST_EXPLANATION:,}.")
    work.add_all(labels)
    work.flush()


def make_current(work: Session, labels: Collection[Label], *, replace_protected: bool = False) -> set[int]:
    """Make stored labels, each of another feature, current where no person's label stands in the way.

    Returns:
        Ids of those that are current now.
    """
    rows = work.exec(_BEFORE, params={"of_features": [label.feature_id for label in labels]})
    before = {row.id: row for row in rows}
    free = [label for label in labels
            if label.origin == "human" or replace_protected
            or before[label.feature_id].label_state not in PROTECTED_STATES]
    _point(work, [(before[label.feature_id], label) for label in free])
    return {label.id for label in free}


def edit_label(work: Session, feature_id: int, text: str, explanation: str = "", *, author: str) -> Label:
    """A person's own label, at once current and approved."""
    before = current_label(work, feature_id)
    label = Label(feature_id=feature_id, text=text, explanation=explanation, origin="human", author=author,
                  kind=before.kind if before else "", verdict="approved", verdict_by=author, verdict_at=now())
    add_label(work, label)
    return label


def judge_label(work: Session, label_id: int, verdict: str, *, author: str) -> None:
    """Set what a person says of a label: approved, rejected, or "" to take it back."""
    if verdict not in ("", "approved", "rejected"):
        raise StoreError(f"{verdict!r} is not a verdict.", "Use approved, rejected or nothing.")
    label = work.get_one(Label, label_id)
    label.verdict, label.verdict_by, label.verdict_at = verdict, author if verdict else "", now() if verdict else None
    work.add(label)
    follow(work, label)


def history(work: Session, feature_id: int) -> list[Label]:
    """Every label a feature ever had, newest first."""
    return list(work.exec(select(Label).where(Label.feature_id == feature_id).order_by(col(Label.id).desc())))


def point_to(work: Session, feature_id: int, label_id: int | None) -> None:
    """Make a label of the feature's history (or none) current. This is also how undo works.

    Raises:
        StoreError: the label belongs to another feature.
    """
    feature = work.get_one(Feature, feature_id)
    label = work.get(Label, label_id) if label_id is not None else None
    if label_id is not None and (label is None or label.feature_id != feature_id):
        raise StoreError(f"Label {label_id} does not belong to this feature.", "Reload the page.")
    _point(work, [(feature, label)])


def _point(work: Session, pairs: list[tuple[Feature | Row, Label | None]]) -> None:
    """Make labels current, and keep SQLite's full-text index in step; PostgreSQL searches the columns themselves."""
    if not pairs:
        return
    indexed = [{"id": feature.id} for feature, _label in pairs if feature.label_state != "unlabeled"]
    point(work, {feature.id: label for feature, label in pairs})
    if work.get_bind().dialect.name != "sqlite":
        return
    if indexed:
        work.exec(_UNINDEX, params=indexed)
    words = [_words(feature.id, feature.top_tokens, label.text, label.explanation) for feature, label in pairs if label]
    if words:
        work.exec(_INDEX, params=words)


def index_words(connection: Connection) -> None:
    """Fill SQLite's empty full-text index from all current labels."""
    query = select(Feature.id, Feature.top_tokens, Label.text, Label.explanation).join(
        Label, col(Feature.label_id) == Label.id)
    for rows in connection.execute(query.execution_options(yield_per=1000)).partitions():
        connection.execute(_INDEX, [_words(*row) for row in rows])


def _words(feature_id: int, top_tokens: list, text: str, explanation: str) -> dict:
    return {"id": feature_id, "label": text, "explanation": explanation,
            "tokens": " ".join(str(row[0]) for row in top_tokens)}


def learnable(work: Session, extraction_id: int, *, approved: bool,
              min_score: float | None) -> list[tuple[int, int, str]]:
    """Features with a current label that another labeler may learn from: id, index and the label, in order of index.

    Args:
        approved: only labels that a person wrote or approved; else also those not judged yet, but for the embedded
            labeler's own, from which it would learn its own mistakes.
        min_score: only labels that score at least this on the test split.
    """
    query = _learnable(select(Feature.id, Feature.index, Label.text), extraction_id, approved, min_score)
    return [tuple(row) for row in work.exec(query.order_by(col(Feature.index)))]


def count_learnable(work: Session, extraction_id: int, *, approved: bool, min_score: float | None) -> int:
    """How many labels ``learnable`` would return."""
    return work.exec(_learnable(select(func.count()), extraction_id, approved, min_score)).one()


def _learnable(query, extraction_id: int, approved: bool, min_score: float | None):
    by_people = (Label.verdict == "approved") | ((Label.origin == "human") & (Label.verdict != "rejected"))
    others = (Label.verdict == "") & (Label.provider != "embedded")
    query = (query.select_from(Feature).join(Label, col(Feature.label_id) == Label.id)
             .where(Feature.extraction_id == extraction_id, by_people if approved else by_people | others))
    return query if min_score is None else query.where(col(Label.score) >= min_score)
