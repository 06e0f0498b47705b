"""Each feature's nearest ones by decoder direction, and features with equal labels."""

from typing import NamedTuple

import numpy as np
from sqlalchemy import insert
from sqlmodel import Session, col, select

from mistudio.store.tables import Feature, FeatureNearest, Label

KEPT = 8
# Every pair of features is compared once: 131,072 of 576 dimensions are minutes on two cores, a million are days.
MOST_FEATURES = 131_072
_ENTRY = np.dtype([("index", "<u4"), ("cosine", "<f2")])


class Near(NamedTuple):
    """A feature beside another: its index, its label's text or None, its most active tokens, and the cosine of the
    two decoder directions."""

    index: int
    label: str | None
    tokens: list[str]
    cosine: float


def add_nearest(work: Session, extraction_id: int, index: np.ndarray, cosine: np.ndarray) -> None:
    """Store the nearest features of all features of an extraction.

    Args:
        index, cosine: ``[d_sae, k]``, nearest first; the row is the feature's index.
    """
    ids = work.exec(select(Feature.index, Feature.id).where(Feature.extraction_id == extraction_id)).all()
    entries = np.zeros(index.shape, dtype=_ENTRY)
    entries["index"], entries["cosine"] = index, cosine
    work.exec(insert(FeatureNearest), params=[{"feature_id": feature_id, "blob": entries[at].tobytes()}
                                              for at, feature_id in ids])


def load_nearest(work: Session, feature: Feature) -> list[Near] | None:
    """The features whose decoders point most nearly the same way, nearest first; None where it is not known."""
    row = work.get(FeatureNearest, feature.id)
    if row is None:
        return None
    entries = np.frombuffer(row.blob, dtype=_ENTRY)
    cosines = dict(zip(entries["index"].tolist(), entries["cosine"].tolist(), strict=True))
    found = work.exec(select(Feature.index, Label.text, Feature.top_tokens)
                      .join(Label, col(Feature.label_id) == Label.id, isouter=True)
                      .where(Feature.extraction_id == feature.extraction_id, col(Feature.index).in_(cosines)))
    near = [Near(index, text, [str(token) for token, *_rest in top], cosines[index]) for index, text, top in found]
    return sorted(near, key=lambda each: -each.cosine)


def same_label(work: Session, feature: Feature, limit: int) -> list[int]:
    """Indices of other features whose current label reads the same, letter case aside; the first ``limit`` of them."""
    return list(work.exec(
        select(Feature.index)
        .where(Feature.extraction_id == feature.extraction_id, Feature.label_key == feature.label_key,
               Feature.id != feature.id)
        .order_by(col(Feature.index)).limit(limit)))
