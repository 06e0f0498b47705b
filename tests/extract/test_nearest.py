"""Nearest features by decoder direction: the right ones, whatever the size of a block, kept by an extraction."""

import numpy as np
import pytest
import torch

from mistudio.extract.nearest import nearest_decoders
from mistudio.extract.pipeline import extract
from mistudio.sae.load import load_sae
from mistudio.store import session
from mistudio.store.features import get_feature
from mistudio.store.nearest import load_nearest
from tests.tiny import D_SAE


def by_definition(W_dec: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    unit = torch.nn.functional.normalize(W_dec.double(), dim=1)
    cosines = unit @ unit.T
    cosines.fill_diagonal_(-2)
    values, index = cosines.topk(k, dim=1)
    return index.numpy(), values.numpy()


@pytest.mark.parametrize("block", [(2048, 16384), (7, 11), (50, 3), (300, 1)])
def test_the_nearest_are_those_with_the_largest_cosine(block):
    W_dec = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 3, 300)[:, None]
    shares = []
    index, cosine = nearest_decoders(W_dec, shares.append, k=5, block=block)
    right, values = by_definition(W_dec, 5)
    assert (index == right).all()
    np.testing.assert_allclose(cosine, values, atol=1e-6)
    assert shares[0] == 0 and shares == sorted(shares)


def test_small_half_precision_and_empty_directions():
    W_dec = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 0.0]], dtype=torch.bfloat16)
    index, cosine = nearest_decoders(W_dec)
    assert index.shape == cosine.shape == (3, 2)
    assert index[0, 0] == 1 and index[1, 0] == 0 and cosine[0, 0] > 0.99
    assert (cosine[2] == 0).all() and 2 not in index[2]
    assert nearest_decoders(W_dec[:1])[0].shape == (1, 0), "an only feature has no neighbour"


def test_an_extraction_keeps_the_nearest_of_every_feature(engine, config):
    extraction_id = extract(engine, config.model_copy(update={"features_at_once": 13}))
    index, cosine = nearest_decoders(load_sae(config.sae).W_dec)
    with session(engine) as work:
        for at in (0, 13, D_SAE - 1):
            feature, _label = get_feature(work, extraction_id, at)
            found = load_nearest(work, feature)
            assert [near.index for near in found] == index[at].tolist()
            np.testing.assert_allclose([near.cosine for near in found], cosine[at], atol=1e-3)
