"""Extractions: list, find, rename, delete, and count what is in them."""

from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, delete, select, text

from mistudio.errors import StoreError
from mistudio.store.counts import state_counts
from mistudio.store.runs import list_runs
from mistudio.store.tables import Extraction, Feature, Run, Vocabulary

LONGEST_NAME = 120
# A run in such a state has a worker, or is owed answers.
BUSY = ("queued", "running", "waiting")


def list_extractions(work: Session) -> list[Extraction]:
    """All extractions, newest first."""
    return list(work.exec(select(Extraction).order_by(col(Extraction.id).desc())))


def get_extraction(work: Session, extraction_id: int | None = None) -> Extraction:
    """One extraction; the newest finished one when no id is given.

    Raises:
        StoreError: there is none.
    """
    if extraction_id is not None:
        found = work.get(Extraction, extraction_id)
        if found is None:
            raise StoreError(f"There is no extraction {extraction_id}.", "List them on the home page.")
        return found
    found = work.exec(select(Extraction).where(Extraction.state == "done").order_by(col(Extraction.id).desc())).first()
    if found is None:
        raise StoreError("There is no extraction yet.",
                         "Run: python -m mistudio demo (or start one on the home page).")
    return found


def stored_features(work: Session, extraction_id: int) -> int:
    """How many features of an extraction are stored: all, or those of the ranges it has finished."""
    return work.exec(select(func.count()).select_from(Feature).where(Feature.extraction_id == extraction_id)).one()


@dataclass(frozen=True)
class Coverage:
    """How much of an extraction is named. ``states`` counts features by state; ``labeled`` includes approved ones, and
    leaves out labels a person rejected; ``labelable`` are features that are neither dead nor rare."""

    features: int
    states: dict[str, int]
    labelable: int
    labeled: int
    approved: int
    rejected: int
    human: int


def coverage(work: Session, extraction_id: int) -> Coverage:
    """Counts for one extraction."""
    states: dict[str, int] = {}
    by_label: dict[str, int] = {}
    for row in state_counts(work, extraction_id):
        if row.features:
            states[row.state] = states.get(row.state, 0) + row.features
            by_label[row.label_state] = by_label.get(row.label_state, 0) + row.features
    unreviewed, approved, rejected, human = (
        by_label.get(name, 0) for name in ("unreviewed", "approved", "rejected", "human"))
    return Coverage(
        features=sum(states.values()), states=states, labelable=states.get("live", 0) + states.get("dense", 0),
        labeled=unreviewed + approved + human, approved=approved + human, rejected=rejected, human=human)


def rename_extraction(work: Session, extraction_id: int, name: str) -> None:
    """Give an extraction another name.

    Raises:
        StoreError: the name is empty, too long, or another extraction's.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise StoreError("This cannot be a name.", f"Write 1 to {LONGEST_NAME} characters.")
    if work.exec(select(Extraction.id).where(Extraction.name == name, Extraction.id != extraction_id)).first():
        raise StoreError(f"Another extraction is called {name!r}.", "Choose a name that tells them apart.")
    get_extraction(work, extraction_id).name = name


def begin_deletion(work: Session, extraction_id: int) -> None:
    """Take an extraction off every page. What hangs on it goes by ``delete_features`` and ``delete_extraction``.

    Raises:
        StoreError: there is no such extraction, it is being made, or a run of it goes on or waits for answers.
    """
    found = get_extraction(work, extraction_id)
    if found.state == "running":
        raise StoreError(f"{found.name} is still being extracted.", "Wait until it ends, or cancel it first.")
    for run in list_runs(work, extraction_id, limit=None):
        if run.state in BUSY:
            raise StoreError(f"Run {run.id} of this extraction is {run.state}.",
                             "Wait until it ends, or cancel it on the Label page first.")
    found.state, found.error = "deleting", ""


def delete_features(work: Session, extraction_id: int, most: int | None = None) -> int:
    """Remove features with their examples, labels and scores, at most so many. Returns how many went."""
    some = select(Feature.id).where(Feature.extraction_id == extraction_id).order_by(col(Feature.id)).limit(most)
    if work.get_bind().dialect.name == "sqlite":
        work.exec(text("DELETE FROM label_fts WHERE rowid IN (SELECT id FROM feature WHERE extraction_id = :id "
                       "ORDER BY id LIMIT :most)").bindparams(id=extraction_id, most=-1 if most is None else most))
    return work.exec(delete(Feature).where(col(Feature.id).in_(some))).rowcount


def delete_extraction(work: Session, extraction_id: int) -> None:
    """Remove an extraction and everything that hangs on it, and the vocabulary that no other one has."""
    # Runs first: their items would else be looked for once a feature.
    work.exec(delete(Run).where(col(Run.extraction_id) == extraction_id))
    delete_features(work, extraction_id)
    work.exec(delete(Extraction).where(col(Extraction.id) == extraction_id))
    work.exec(delete(Vocabulary).where(col(Vocabulary.hash).not_in(select(Extraction.vocabulary_hash))))
