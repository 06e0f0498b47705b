"""A small extraction, and all that it stored: to compare different ways to the same result."""

from pathlib import Path

import pytest
from sqlmodel import select

from mistudio.extract.config import ExtractConfig
from mistudio.settings import settings
from mistudio.store import Extraction, Feature, session
from mistudio.store.tables import FeatureExamples, ReferenceWindow
from tests.tiny import TEXT, tiny_model, tiny_sae


@pytest.fixture
def config(tmp_path, monkeypatch):
    """``tiny_config``, with a data folder of the test's own."""
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    return tiny_config(tmp_path)


def tiny_config(folder: Path) -> ExtractConfig:
    """Model, SAE and corpus in this folder; a checkpoint after every batch."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(40):
        (corpus / f"{number}.txt").write_text(f"Number {number}. {TEXT[number:]} {number * 37}", encoding="utf-8")
    return ExtractConfig(
        model=str(tiny_model(folder / "model")), sae=str(tiny_sae(folder / "sae")), corpus=str(corpus), tokens=4_000,
        dtype="float32", batch_size=7, window=12, device="cpu", top=(4, 2, 3), sample=(5, 3, 4), references=20,
        checkpoint_seconds=0)


def stored(engine):
    """The one extraction of a database, its features, their blobs by index, and the blobs of reference windows."""
    with session(engine) as work:
        extraction = work.exec(select(Extraction)).one()
        features = work.exec(select(Feature).order_by(Feature.index)).all()
        blobs = dict(work.exec(select(Feature.index, FeatureExamples.blob).join(
            FeatureExamples, FeatureExamples.feature_id == Feature.id)).all())
        windows = work.exec(select(ReferenceWindow.blob).order_by(ReferenceWindow.number)).all()
    assert extraction.state == "done"
    return extraction, features, blobs, windows


def outcome(engine):
    """Everything that an extraction stored, but for the time it took."""
    extraction, features, blobs, windows = stored(engine)
    return ((extraction.tokens, extraction.contexts), blobs, windows,
            [feature.model_dump(exclude={"id", "extraction_id"}) for feature in features])
