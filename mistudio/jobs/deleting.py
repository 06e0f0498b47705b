"""Delete an extraction: off every page at once, then its rows part by part, then the space."""

from sqlalchemy import Engine

from mistudio.background import Progress
from mistudio.store import session
from mistudio.store.extractions import begin_deletion, delete_extraction, delete_features, stored_features
from mistudio.store.space import give_back

# So many features a transaction: others wait for the write lock only as long as these take.
PART = 5000


def delete(engine: Engine, extraction_id: int, progress: Progress) -> str:
    """Delete an extraction and everything that hangs on it; one that broke off is gone on with in the same way.

    Returns:
        a sentence about what became of the disk space.

    Raises:
        StoreError: there is no such extraction, it is being made, or a run of it goes on or waits for answers.
    """
    with session(engine) as work:
        begin_deletion(work, extraction_id)
        total = stored_features(work, extraction_id)
    gone = 0
    while gone < total:
        with session(engine) as work:
            gone += delete_features(work, extraction_id, PART)
        progress("Deleting features", 0.7 * gone / total, f"{gone:,} of {total:,}")
    with session(engine) as work:
        delete_extraction(work, extraction_id)
    progress("Giving the space back", 0.7, "")
    return give_back(engine)
