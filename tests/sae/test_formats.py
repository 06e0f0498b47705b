"""Every published layout computes what its makers' formula gives, and what does not fit is named."""

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mistudio.errors import SAEError
from mistudio.sae.load import load_sae
from tests.sae.layouts import (
    B_DEC,
    D_IN,
    D_SAE,
    LAYOUTS,
    LINEAR,
    THRESHOLD,
    W_DEC,
    W_ENC,
    X,
    config,
    dictionary,
    dictionary_gated,
    gemma_scope_2,
    goodfire,
    llama_scope,
    plain,
    sparsify,
    tensors,
)


@pytest.mark.parametrize("build", LAYOUTS, ids=lambda build: build.__name__)
def test_a_layout_computes_what_its_makers_wrote(tmp_path, build):
    acts, decode, *rest = build(tmp_path / "sae")
    folder, hook_point = rest or (tmp_path / "sae", None)
    sae = load_sae(str(folder))
    found = sae.encode(X.view(3, 3, D_IN))
    assert found.shape == (3, 3, D_SAE) and (found > 0).any()
    assert torch.allclose(found.view(9, D_SAE), acts, atol=1e-5)
    assert torch.allclose(sae.decode(found, X.view(3, 3, D_IN)).view(9, D_IN), decode(acts), atol=1e-4)
    if hook_point:
        assert sae.hook_point == hook_point


class Bomb:
    """What a malicious file could hold: unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["ae.pt", "sae.pth", "params.npz"])
def test_pickled_code_is_refused_and_never_run(tmp_path, name):
    folder, mark = tmp_path / "sae", tmp_path / "mark"
    config(folder, "config.json", trainer={"dict_class": "AutoEncoder"})
    if name.endswith("npz"):
        np.savez(folder / name, W_enc=np.array([Bomb(str(mark))], dtype=object))
    else:
        torch.save({"encoder.weight": Bomb(str(mark))}, folder / name)
        with pytest.raises(SAEError, match="cannot be read"):
            load_sae(str(folder))
        (folder / name).write_bytes(pickle.dumps(Bomb(str(mark))))
    with pytest.raises(SAEError, match="cannot be read") as caught:
        load_sae(str(folder))
    assert "pickled code" in caught.value.hint and not mark.exists()


@pytest.mark.parametrize(("build", "file", "spoil", "says"), [
    (gemma_scope_2, "params.safetensors", lambda found: found | {"threshold": THRESHOLD[:4]},
     r"'threshold' has shape \[4\], expected \[20\]"),
    (llama_scope, "checkpoints/final.safetensors", lambda found: found | {"decoder.weight": W_DEC},
     r"'decoder.weight' has shape \[20, 6\], expected \[6, 20\]"),
    (sparsify, "sae.safetensors", lambda found: {name: found[name] for name in ("encoder.weight", "encoder.bias")},
     "lacks the tensor 'W_dec'; found: encoder.bias, encoder.weight"),
    (sparsify, "sae.safetensors", lambda found: found | {"W_skip": W_ENC}, "skip connection is not supported"),
    (plain, "sae.safetensors", lambda found: {"W_enc": found["W_enc"]}, "lacks the tensor 'W_dec'; found: W_enc"),
    (plain, "sae.safetensors", lambda found: found | {"b_enc": B_DEC}, r"'b_enc' has shape \[6\], expected \[20\]"),
], ids=["gemma shape", "llama transposed", "sparsify missing", "sparsify skip", "plain missing", "plain shape"])
def test_a_tensor_that_does_not_fit_is_named_with_its_shapes(tmp_path, build, file, spoil, says):
    _acts, _decode, *rest = build(tmp_path / "sae")
    folder = rest[0] if rest else tmp_path / "sae"
    tensors(folder / file, **spoil(load_file(folder / file)))
    with pytest.raises(SAEError, match=says) as caught:
        load_sae(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_moving_an_sae_changes_no_activation(tmp_path, dtype):
    for build in (dictionary_gated, goodfire, plain):
        acts, decode, *rest = build(tmp_path / build.__name__)
        moved = load_sae(str(rest[0] if rest else tmp_path / build.__name__)).to("cpu", dtype)
        assert moved.W_enc.dtype == moved.offset.dtype == (dtype or torch.float32)
        found = moved.encode(X)
        assert torch.allclose(found.float(), acts, atol=1e-5)
        assert torch.allclose(moved.decode(found).float(), decode(acts), atol=1e-4)


@pytest.mark.parametrize(("values", "says"), [
    ({"use_glu_encoder": True}, "GLU encoder is not supported"),
    ({"norm_activation": "batch-wise"}, "'batch-wise' is not supported"),
    ({"dataset_average_activation_norm": None}, "without the data set's mean norms is not supported"),
    ({"act_fn": "sigmoid"}, "'sigmoid' is not supported")])
def test_llama_scope_configs_that_cannot_be_run_are_refused(tmp_path, values, says):
    llama_scope(tmp_path, **({"function": values["act_fn"]} if "act_fn" in values else values))
    with pytest.raises(SAEError, match=says) as caught:
        load_sae(str(tmp_path))
    assert caught.value.hint


def test_an_unknown_class_names_the_known_ones(tmp_path):
    dictionary(tmp_path / "sae", "CrossCoder", LINEAR)
    with pytest.raises(SAEError, match="'CrossCoder' is not supported") as caught:
        load_sae(str(tmp_path / "sae"))
    assert "AutoEncoderTopK" in caught.value.hint


def test_a_folder_of_something_else_says_what_is_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("no SAE")
    with pytest.raises(SAEError, match="no SAE of a known format") as caught:
        load_sae(str(tmp_path))
    assert "params.npz" in caught.value.hint
