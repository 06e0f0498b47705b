"""Working through the features in ranges gives what one pass for all of them gives."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from sqlmodel import select

from mistudio.errors import CorpusError
from mistudio.extract.pipeline import extract
from mistudio.extract.ranges import FeatureRange, features_at_once
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE
from mistudio.store import Extraction, open_store, session
from mistudio.store.examples import Examples, Reference
from tests.extract.outcome import stored
from tests.tiny import D_IN, D_SAE


def architecture(folder, name):
    """Make the SAE of this folder one of another architecture, with few features active."""
    random = torch.Generator().manual_seed(3)
    W_dec = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN, generator=random), dim=1)
    tensors = {"W_enc": W_dec.T.contiguous(), "W_dec": W_dec, "b_dec": torch.zeros(D_IN)}
    if name == "gated":
        tensors |= {"b_gate": torch.full((D_SAE,), -1.5), "r_mag": torch.randn(D_SAE, generator=random) / 4,
                    "b_mag": torch.zeros(D_SAE)}
    else:
        tensors |= {"b_enc": torch.full((D_SAE,), -1.5), "threshold": torch.rand(D_SAE, generator=random)}
    save_file(tensors, folder / "sae_weights.safetensors")
    told = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(told | {"architecture": name}))


def exact_and_rounded(engine):
    """Everything an extraction stored: numbers that may differ by rounding apart from those that may not."""
    extraction, features, blobs, windows = stored(engine)
    windows = [Reference.from_blob(blob) for blob in windows]
    examples = {index: Examples.from_blob(blob) for index, blob in blobs.items()}
    exact = [(extraction.tokens, extraction.contexts), sorted(examples)]
    exact += [(row.index, row.active_tokens, row.state) for row in features]
    exact += [[getattr(found, name).tolist() for name in ("tokens", "peak", "context", "document", "split", "source")]
              for found in examples.values()]
    exact += [(window.tokens.tolist(), window.split, window.document, window.feature.tolist(),
               window.position.tolist()) for window in windows]
    rounded = [np.array([row.max_activation, row.mean_activation, row.density]) for row in features]
    rounded += [found.activations.astype(float) for found in examples.values()]
    rounded += [window.activation.astype(float) for window in windows]
    return exact, rounded


def assert_same(engine, folder, config):
    whole = open_store(f"sqlite:///{folder / 'whole.db'}")
    extract(whole, config)
    exact, rounded = exact_and_rounded(whole)
    whole.dispose()
    exact_here, rounded_here = exact_and_rounded(engine)
    assert exact_here == exact
    assert all(np.allclose(one, other, rtol=2e-3, atol=1e-3)
               for one, other in zip(rounded_here, rounded, strict=True))


@pytest.mark.parametrize("name", ["topk", "standard", "jumprelu", "gated"])
def test_ranges_store_what_one_pass_stores(engine, config, tmp_path, name):
    if name != "topk":
        architecture(tmp_path / "sae", name)
    told = []
    extract(engine, config.model_copy(update={"features_at_once": 13}), lambda *step: told.append(step))
    assert_same(engine, tmp_path, config)
    assert any(detail.startswith(f"features 13 to 25 of {D_SAE}: ") for _step, _share, detail in told)
    shares = [share for _step, share, _detail in told]
    assert shares == sorted(shares) and shares[-1] == 1.0


class Stop(Exception):
    """What a test raises in the middle of a pass."""


@pytest.mark.parametrize("at", [3, 21, 40])
def test_an_interrupted_range_is_gone_on_with(engine, config, tmp_path, at):
    ran = []

    def stop(step, share, detail):
        ran.append(detail)
        if len(ran) == at:
            raise Stop

    parts = config.model_copy(update={"features_at_once": 20})
    with pytest.raises(Stop):
        extract(engine, parts, stop)
    # With other bounds for what is left: that must not matter.
    extract(engine, config.model_copy(update={"features_at_once": 20, "batch_size": 5}))
    with session(engine) as work:
        assert len(work.exec(select(Extraction)).all()) == 1
    assert_same(engine, tmp_path, config)


def test_a_corpus_that_changes_between_ranges_is_told(engine, config, tmp_path):
    changed = []

    def change(step, _share, detail):
        if detail.startswith("features 20 ") and not changed:
            changed.append(min((tmp_path / "corpus").iterdir()))
            changed[0].write_text("Something else entirely.")

    with pytest.raises(CorpusError, match="has changed"):
        extract(engine, config.model_copy(update={"features_at_once": 20}), change)
    with session(engine) as work:
        assert work.exec(select(Extraction.state)).one() == "failed"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), d_sae=st.integers(3, 40), size=st.integers(1, 40), k=st.integers(1, 3))
def test_topk_of_ranges_is_topk_of_the_whole(seed, d_sae, size, k):
    random = torch.Generator().manual_seed(seed)
    sae = SAE("topk", torch.randn(4, d_sae, generator=random), torch.randn(d_sae, 4, generator=random),
              torch.randn(d_sae, generator=random), torch.randn(4, generator=random), k=k)
    x = torch.randn(2, 5, 4, generator=random)
    features, parts = FeatureRange(sae, 0, size), []
    while True:
        parts.append(features.encode(x, 0))
        if features.last == d_sae:
            break
        features = features.next(size)
    assert torch.allclose(sae.cutoff(x, size), sae.cutoff(x), atol=1e-5)
    found, expected = torch.cat(parts, -1), sae.encode(x)
    assert torch.equal(found > 0, expected > 0)
    assert torch.allclose(found, expected, atol=1e-5)


def test_all_features_that_fit_are_taken_at_once(config):
    sae = load_sae(config.sae)
    whole = config.model_copy(update={"context_length": 24})
    assert features_at_once(whole, sae, torch.device("cpu")) == D_SAE
    huge = whole.model_copy(update={"top": (10**9, 1, 1)})
    assert 1 <= features_at_once(huge, sae, torch.device("cpu")) < D_SAE
    assert features_at_once(whole.model_copy(update={"features_at_once": 10**6}), sae, torch.device("cpu")) == D_SAE
