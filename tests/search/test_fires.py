"""What fires on a text is what the extraction's own model and SAE say of it."""

import numpy as np
import pytest

from mistudio.errors import MistudioError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.pipeline import extract
from mistudio.search.fires import load_reader, strongest
from mistudio.store import session
from mistudio.store.extractions import get_extraction
from mistudio.store.search import names_of
from tests.tiny import D_SAE, TEXT, tiny_model, tiny_sae


@pytest.fixture
def extracted(engine, tmp_path):
    """A real extraction of a tiny model, and its reader."""
    (tmp_path / "corpus").mkdir()
    for number in range(20):
        (tmp_path / "corpus" / f"{number}.txt").write_text(f"{number} {TEXT}")
    extraction_id = extract(engine, ExtractConfig(
        model=str(tiny_model(tmp_path / "model")), sae=str(tiny_sae(tmp_path / "sae")), corpus=str(tmp_path / "corpus"),
        tokens=1000, window=8, dtype="float32"))
    with session(engine) as work:
        return get_extraction(work, extraction_id)


def test_each_token_has_its_strongest_features(engine, extracted):
    reader = load_reader(extracted)
    found = reader.read(TEXT)
    assert reader.loaded.tokenizer.decode(found.tokens.tolist()) == TEXT and not found.cut
    alone = np.array([reader.activations(found, feature) for feature in range(D_SAE)])  # [d_sae, n]
    assert np.allclose(found.activations[:, 0], alone.max(axis=0), atol=1e-5)
    assert np.allclose(found.peaks, alone.max(axis=1), atol=1e-5)
    assert ((alone > 0).sum(axis=0) <= 4).all()  # the SAE's k
    with session(engine) as work:
        names = names_of(work, extracted.id, found.shown)
    for place, features in enumerate(strongest(found, names, 2, dense=True)):
        assert [each.index for each, _value in features] == found.features[place, :len(features)].tolist()
        assert len(features) <= 2


def test_a_long_text_is_cut_and_an_empty_one_refused(extracted):
    reader = load_reader(extracted)
    assert len(reader.read(TEXT * 20).tokens) == 512 and reader.read(TEXT * 20).cut
    for text in ("", "  ", "\ud800"):
        with pytest.raises(MistudioError):
            reader.read(text)
    with pytest.raises(MistudioError):
        reader.activations(reader.read("a"), D_SAE)


def test_another_sae_in_its_place_is_refused(extracted, tmp_path):
    tiny_sae(tmp_path / "sae", d_sae=D_SAE - 8)
    with pytest.raises(MistudioError) as caught:
        load_reader(extracted)
    assert "not the one" in caught.value.message


def test_features_from_elsewhere_say_that_nothing_can_run_them(engine, toy):
    with session(engine) as work:
        extraction = get_extraction(work, toy)
    with pytest.raises(MistudioError) as caught:
        load_reader(extraction)
    assert "imported" in caught.value.message and caught.value.hint


def test_a_model_that_is_not_here_is_named(engine, toy):
    with session(engine) as work:
        extraction = get_extraction(work, toy)
        extraction.config = {"model": "/nowhere/at/all", "sae": "/nowhere/at/all/either"}
    with pytest.raises(MistudioError) as caught:
        load_reader(extraction)
    assert "toy-model" in caught.value.message and caught.value.hint
