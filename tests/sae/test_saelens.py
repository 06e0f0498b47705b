"""SAEs in the SAELens layout: what they compute, and what is said of files that do not fit."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mistudio.demo.setup import SAE_FOLDER
from mistudio.errors import SAEError
from mistudio.sae.load import load_sae
from tests.tiny import D_IN, D_SAE, tiny_sae


@pytest.fixture
def folder(tmp_path):
    return tiny_sae(tmp_path / "sae")


def rewrite(folder, *, drop=(), **tensors):
    """Change tensors of a saved SAE."""
    path = folder / "sae_weights.safetensors"
    kept = {name: value for name, value in load_file(path).items() if name not in drop}
    save_file(kept | tensors, path)


def configure(folder, **changes):
    path = folder / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu"])
def test_encode_and_decode_follow_the_formula(folder, architecture, subtract):
    random = torch.Generator().manual_seed(2)
    b_enc, b_dec = torch.randn(D_SAE, generator=random), torch.randn(D_IN, generator=random)
    threshold = torch.rand(D_SAE, generator=random)
    rewrite(folder, b_enc=b_enc, b_dec=b_dec, threshold=threshold)
    configure(folder, architecture=architecture, apply_b_dec_to_input=subtract)
    sae, weights = load_sae(str(folder)), load_file(folder / "sae_weights.safetensors")
    x = torch.randn(3, 5, D_IN, generator=random)

    acts = sae.encode(x)
    for place in torch.cartesian_prod(torch.arange(3), torch.arange(5)).tolist():
        row = x[*place] - b_dec if subtract else x[*place]
        pre = torch.stack([row @ weights["W_enc"][:, feature] for feature in range(D_SAE)]) + b_enc
        expected = pre.clamp(min=0)
        if architecture == "topk":
            expected[expected < pre.sort(descending=True).values[3]] = 0
        if architecture == "jumprelu":
            expected[pre <= threshold] = 0
        assert torch.allclose(acts[*place], expected, atol=1e-5)
        assert torch.allclose(sae.decode(acts)[*place], expected @ weights["W_dec"] + b_dec, atol=1e-5)


def test_the_files_say_where_it_was_trained(folder):
    sae = load_sae(str(folder))
    assert (sae.d_in, sae.d_sae) == (D_IN, D_SAE)
    assert (sae.hook_point, sae.context_length, sae.prepend_bos) == ("blocks.1.hook_resid_post", 24, True)
    other = tiny_sae(folder.parent / "other")
    rewrite(other, b_dec=torch.ones(D_IN))
    assert load_sae(str(other)).hash != sae.hash


@pytest.mark.parametrize(("told", "warned"), [(False, 0), (None, 0), (True, 1), ("expected_average_only_in", 1)])
def test_a_scale_that_the_files_do_not_hold_is_warned_of(folder, caplog, told, warned):
    """Files before version 6 say true for ``expected_average_only_in``."""
    configure(folder, normalize_activations=told)
    assert load_sae(str(folder)).normalize == "none" and len(caplog.records) == warned


def test_the_files_say_how_the_model_was_changed(folder):
    assert not load_sae(str(folder)).fold_value_biases
    configure(folder, metadata={"hook_name": "blocks.1.attn.hook_z",
                                "model_from_pretrained_kwargs": {"fold_value_biases": True}})
    sae = load_sae(str(folder))
    assert sae.fold_value_biases and not sae.center


def test_the_demo_sae_loads_and_says_its_place():
    sae = load_sae(str(SAE_FOLDER))
    assert (sae.d_in, sae.d_sae, sae.hook_point) == (576, 4608, "layers.9")
    assert sum(path.stat().st_size for path in SAE_FOLDER.iterdir()) < 12e6


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda folder: (folder / "sae_weights.safetensors").unlink(), "no SAE of a known format"),
    (lambda folder: (folder / "cfg.json").write_text("{broken"), "cannot be read"),
    (lambda folder: (folder / "cfg.json").write_text("[1, 2]"), "cannot be read"),
    (lambda folder: (folder / "sae_weights.safetensors").write_bytes(b"broken"), "cannot be read"),
    (lambda folder: configure(folder, architecture="crosscoder"), "'crosscoder' is not supported"),
    (lambda folder: configure(folder, d_sae="many"), "no usable 'd_sae'"),
    (lambda folder: configure(folder, k=None), "no usable 'k'"),
    (lambda folder: configure(folder, d_in=D_IN + 1), r"'W_enc' has shape \[16, 48\], expected \[17, 48\]"),
    (lambda folder: rewrite(folder, W_dec=torch.zeros(D_IN, D_SAE)), r"'W_dec' has shape \[16, 48\], expected \[48"),
    (lambda folder: rewrite(folder, drop=("b_enc",)), "lacks the tensor 'b_enc'; found: W_dec, W_enc, b_dec"),
    (lambda folder: configure(folder, architecture="jumprelu"), "lacks the tensor 'threshold'"),
    (lambda folder: configure(folder, normalize_activations="by magic"), "'by magic' is not supported"),
    (lambda folder: configure(folder, metadata={"hook_name": "blocks.1.attn.hook_z", "hook_head_index": 0}),
     "reads attention head 0 alone, which is not supported. Use an SAE of all heads"),
    (lambda folder: configure(folder, hook_point_head_index=3), "reads attention head 3 alone"),
], ids=["no weights", "broken config", "a list", "broken weights", "architecture", "d_sae", "k", "d_in", "shape",
        "missing", "no threshold", "normalised", "one head", "one head before version 6"])
def test_a_file_that_does_not_fit_says_what_was_found(folder, spoil, says):
    spoil(folder)
    with pytest.raises(SAEError, match=says) as caught:
        load_sae(str(folder))
    assert caught.value.hint
