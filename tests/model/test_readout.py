"""The logit lens takes directions through the projection and the norms that stand between them and the output."""

import pytest
import torch

from mistudio.model.families import decoder
from mistudio.model.hook import width_at
from mistudio.model.load import load_model
from mistudio.model.readout import FINAL_NORMS, to_unembedding
from tests.model.families import CONFIGS, WIDTH, paths, save_family


@pytest.fixture(scope="module", params=CONFIGS)
def family(request, tmp_path_factory):
    folder = save_family(request.param, tmp_path_factory.mktemp("family"))
    return request.param, load_model(str(folder), device="cpu", dtype="float32")


@pytest.mark.parametrize("place", ["", ".mlp", ".attn.z"])
def test_directions_go_through_projection_and_norms(family, place):
    name, loaded = family
    stack, attn, projection, _mlp = paths(name)
    block = loaded.model.get_submodule(stack)[1]
    base = decoder(loaded.model)
    norm = next(getattr(base, name) for name in FINAL_NORMS if hasattr(base, name))
    rows = torch.randn(5, width_at(loaded, f"layers.1{place}"), generator=torch.Generator().manual_seed(2))
    found = to_unembedding(loaded, f"layers.1{place}", rows)
    gemma = name.startswith("gemma")
    if place == ".attn.z":
        project = block.get_submodule(projection)
        rows = project(rows) - project(torch.zeros_like(rows))
        rows = rows * (1 + block.get_submodule(attn).weight) if gemma else rows
    if isinstance(norm, torch.nn.LayerNorm):
        rows = rows - rows.mean(1, keepdim=True)
    assert torch.allclose(found, rows * (norm.weight + gemma), atol=1e-4)


def test_a_module_of_no_known_place_has_no_readout(family):
    name, loaded = family
    stack, _attn, projection, _mlp = paths(name)
    assert to_unembedding(loaded, f"{stack}.1.{projection}", torch.randn(2, WIDTH)) is None
