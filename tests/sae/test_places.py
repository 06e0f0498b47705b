"""Where SAEs say they were trained is where they are read, on the families they were made for."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mistudio.errors import SAEError
from mistudio.model.families import resolve
from mistudio.model.hook import activations_at
from mistudio.model.load import load_model
from mistudio.sae.load import load_sae
from tests.model.families import WIDTH, save_family

TOKENS = torch.randint(2, 200, (2, 12), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(TOKENS, dtype=torch.bool)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {family: load_model(str(save_family(family, tmp_path_factory.mktemp(family.replace(" ", "_")))),
                               device="cpu", dtype="float32")
            for family in ("gpt2", "pythia", "llama", "gemma2", "gemma3", "gemma3 with images")}


def save(folder, config="cfg.json", weights="sae.safetensors", tensors=None, **values):
    folder.mkdir(parents=True)
    (folder / config).write_text(json.dumps(values))
    parts = {"encoder.weight": torch.ones(8, WIDTH), "encoder.bias": torch.zeros(8), "W_dec": torch.ones(8, WIDTH),
             "b_dec": torch.zeros(WIDTH)} if tensors is None else tensors
    save_file(parts, folder / weights)
    return folder


def seen(loaded, path, side):
    """What a plain hook sees of a module in a whole forward pass."""
    found = []
    module = loaded.model.get_submodule(path)
    handle = (module.register_forward_pre_hook(lambda _m, args: found.append(args[0])) if side == "input" else
              module.register_forward_hook(lambda _m, _args, out: found.append(out)))
    with torch.inference_mode():
        loaded.model(input_ids=TOKENS)
    handle.remove()
    return found[0][0] if isinstance(found[0], tuple) else found[0]


@pytest.mark.parametrize(("family", "folder", "path", "ours"), [
    ("llama", "layers.1.mlp", "model.layers.1.mlp", "layers.1.mlp"),
    ("llama", "layers.1", "model.layers.1", "layers.1"),
    ("llama", "layers.1.self_attn", "model.layers.1.self_attn", "layers.1.attn"),
    ("pythia", "layers.1.attention", "gpt_neox.layers.1.attention", "layers.1.attn"),
    ("gpt2", "h.2.mlp", "transformer.h.2.mlp", "layers.2.mlp"),
    ("gemma2", "layers.1.mlp", "model.layers.1.mlp", "base_model.layers.1.mlp"),
    ("gemma3", "layers.1.mlp", "model.layers.1.mlp", "base_model.layers.1.mlp"),
    ("gemma3 with images", "language_model.layers.1.mlp", "model.language_model.layers.1.mlp",
     "base_model.language_model.layers.1.mlp")])
def test_sparsify_folders_name_modules_whatever_the_family_adds_to_them(models, tmp_path, family, folder, path, ours):
    loaded = models[family]
    for transcode, seed in ((False, ""), (False, "seed3"), (True, "")):
        made = save(tmp_path / f"{transcode}{seed}" / folder / seed, d_in=WIDTH, k=2, transcode=transcode)
        hook_point = load_sae(str(made)).hook_point
        if transcode and "att" in folder:
            continue  # they get their hidden states by keyword, which sparsify does not see
        found = activations_at(loaded, hook_point, TOKENS, MASK)
        assert torch.equal(found, seen(loaded, path, "input" if transcode else "output"))
        resolved = str(resolve(loaded.model, hook_point)[0])
        assert transcode or resolved == ours
        assert torch.equal(activations_at(loaded, resolved, TOKENS, MASK), found), "the stored name leads there too"


def test_a_gemma_mlp_is_not_what_it_adds_to_the_stream(models):
    raw, added = (activations_at(models["gemma2"], name, TOKENS, MASK)
                  for name in ("base_model.layers.1.mlp", "layers.1.mlp"))
    assert not torch.allclose(raw, added, atol=1e-2)


def test_a_folder_of_another_name_says_nothing(tmp_path):
    assert load_sae(str(save(tmp_path / "v1.0", d_in=WIDTH, k=2))).hook_point is None


GEMMA = {"w_enc": torch.ones(WIDTH, 8), "w_dec": torch.ones(8, WIDTH), "b_enc": torch.zeros(8),
         "b_dec": torch.zeros(WIDTH), "threshold": torch.zeros(8)}


@pytest.mark.parametrize(("named", "path", "side", "ours"), [
    ("model.layers.1.output", "layers.1", "output", "layers.1"),
    ("model.layers.1.self_attn.o_proj.input", "layers.1.self_attn.o_proj", "input", "layers.1.attn.z"),
    ("model.layers.1.post_feedforward_layernorm.output", "layers.1.post_feedforward_layernorm", "output",
     "layers.1.mlp"),
    ("model.layers.1.mlp.output", "layers.1.mlp", "output", "layers.1.mlp.output"),
    ("model.layers.1.pre_feedforward_layernorm.output", "layers.1.pre_feedforward_layernorm", "output",
     "layers.1.pre_feedforward_layernorm.output")])
def test_gemma_scope_2_names_modules_of_the_text_model(models, tmp_path, named, path, side, ours):
    made = save(tmp_path / "sae", "config.json", "params.safetensors", GEMMA, hf_hook_point_in=named)
    hook_point = load_sae(str(made)).hook_point
    for family, stem in (("gemma3", "model."), ("gemma3 with images", "model.language_model.")):
        assert str(resolve(models[family].model, hook_point)[0]) == ours
        found = activations_at(models[family], hook_point, TOKENS, MASK)
        assert torch.equal(found, seen(models[family], stem + path, side))


@pytest.mark.parametrize(("folder", "hook_point"), [
    ("models--google--gemma-scope-2b-pt-res/snapshots/0/layer_12/width_16k/average_l0_82", "layers.12"),
    ("models--google--gemma-scope-2b-pt-att/snapshots/0/layer_12/width_16k/average_l0_82", "layers.12.attn.z"),
    ("gemma-scope-2b-pt-mlp/layer_12/width_16k/average_l0_82", "layers.12.mlp"),
    ("gemma-scope-2b-pt-transcoders/layer_12/width_16k/average_l0_82", None),
    ("gemma-scope-2-1b-pt/resid_post_all/layer_22_width_16k_l0_small", "layers.22"),
    ("gemma-scope-2-1b-pt/attn_out/layer_2_width_16k_l0_small", "layers.2.attn.z"),
    ("gemma-scope-2-1b-pt/mlp_out/layer_2_width_16k_l0_small", "layers.2.mlp"),
    ("gemma-scope-2-1b-pt/transcoder_all/layer_2_width_16k_l0_small", None),
    ("mine/layer_3/width_16k", "layers.3"), ("mine/embedding", None)])
def test_gemma_scope_without_a_config_is_known_by_repository_and_folder(tmp_path, folder, hook_point):
    made = save(tmp_path / folder, "note.json", "params.safetensors", GEMMA)
    assert load_sae(str(made)).hook_point == hook_point


def test_an_affine_skip_connection_is_refused(tmp_path):
    made = save(tmp_path / "sae", "config.json", "params.safetensors",
                GEMMA | {"affine_skip_connection": torch.ones(WIDTH, WIDTH)})
    with pytest.raises(SAEError, match="affine skip connection is not supported"):
        load_sae(str(made))
