"""Every hook point of every family gives what a plain whole forward pass has there, and stops it there."""

import pytest
import torch

from mistudio.errors import ModelError
from mistudio.model.families import blocks, drop_blocks_behind, resolve
from mistudio.model.hook import activations_at, width_at
from mistudio.model.hook_point import parse_hook_point
from mistudio.model.load import load_model
from tests.model.families import BLOCKS, CONFIGS, HEADS, WIDTH, paths, save_family

TOKENS = torch.randint(2, 200, (2, 20), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(TOKENS, dtype=torch.bool)


@pytest.fixture(scope="module", params=CONFIGS)
def family(request, tmp_path_factory):
    """The family's name and its tiny model, loaded as any model is."""
    folder = save_family(request.param, tmp_path_factory.mktemp("family"))
    return request.param, load_model(str(folder), device="cpu", dtype="float32")


def whole_pass(loaded, family):
    """What plain hooks see of block 1 in a whole forward pass."""
    stack, attn, projection, mlp = paths(family)
    block = loaded.model.get_submodule(stack)[1]
    seen = {}

    def keep(name, value):
        seen[name] = value[0] if isinstance(value, tuple) else value

    handles = [
        block.register_forward_pre_hook(lambda _m, args: keep("layers.1.input", args)),
        block.register_forward_hook(lambda _m, _args, out: keep("layers.1", out)),
        block.get_submodule(attn).register_forward_hook(lambda _m, _args, out: keep("layers.1.attn", out)),
        block.get_submodule(projection).register_forward_pre_hook(lambda _m, args: keep("layers.1.attn.z", args)),
        block.get_submodule(mlp).register_forward_hook(lambda _m, _args, out: keep("layers.1.mlp", out))]
    with torch.inference_mode():
        states = loaded.model(input_ids=TOKENS, output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    return seen, states


def test_hook_points_of_both_vocabularies_match_plain_hooks(family):
    name, loaded = family
    seen, states = whole_pass(loaded, name)
    assert torch.equal(seen["layers.1.input"], states[1]) and torch.equal(seen["layers.1"], states[2])
    theirs = {"layers.1": "hook_resid_post", "layers.1.input": "hook_resid_pre", "layers.1.mlp": "hook_mlp_out",
              "layers.1.attn": "hook_attn_out", "layers.1.attn.z": "attn.hook_z"}
    for ours, other in theirs.items():
        for hook_point in (ours, f"blocks.1.{other}"):
            found = activations_at(loaded, hook_point, TOKENS, MASK)
            assert torch.equal(found, seen[ours]), hook_point
            assert width_at(loaded, hook_point) == found.shape[-1]
    assert torch.equal(activations_at(loaded, "layers.0.input", TOKENS, MASK), states[0])


def test_attention_and_mlp_outputs_are_what_is_added_to_the_stream(family):
    name, loaded = family
    before, attn, mlp, after = (activations_at(loaded, f"layers.1{place}", TOKENS, MASK)
                                for place in (".input", ".attn", ".mlp", ""))
    assert torch.allclose(before + attn + mlp, after, atol=1e-4)
    if name == "pythia":
        with pytest.raises(ModelError, match="both read the block's input"):
            activations_at(loaded, "layers.1.mid", TOKENS, MASK)
    else:
        for middle in ("layers.1.mid", "blocks.1.hook_resid_mid"):
            assert torch.allclose(before + attn, activations_at(loaded, middle, TOKENS, MASK), atol=1e-5)


@pytest.mark.parametrize(("place", "runs"), [
    (".input", set()), (".attn.z", set()), (".attn", {"attn"}), (".mid", {"attn"}), ("", {"attn", "mlp", "block"})])
def test_nothing_after_the_hook_point_runs(family, place, runs):
    name, loaded = family
    if name == "pythia" and place == ".mid":
        pytest.skip("its attention and MLP both read the block's input")
    stack, attn, _projection, mlp = paths(name)
    every = loaded.model.get_submodule(stack)
    done = []
    watched = {"attn": every[1].get_submodule(attn), "mlp": every[1].get_submodule(mlp), "block": every[1],
               "later block": every[2], "LM head": loaded.model.get_output_embeddings()}
    handles = [module.register_forward_hook(lambda *_args, part=part: done.append(part))
               for part, module in watched.items()]
    activations_at(loaded, f"layers.1{place}", TOKENS, MASK)
    for handle in handles:
        handle.remove()
    assert set(done) == runs


@pytest.mark.parametrize("kind", CONFIGS)
def test_blocks_behind_the_hook_point_need_not_be_there(tmp_path, kind):
    loaded = load_model(str(save_family(kind, tmp_path)), device="cpu", dtype="float32")
    for name in ("layers.1", "layers.0.mlp"):
        before = activations_at(loaded, name, TOKENS, MASK)
        drop_blocks_behind(loaded.model, parse_hook_point(name))
        assert torch.equal(activations_at(loaded, name, TOKENS, MASK), before)
        behind = blocks(loaded.model)[int(name[7]) + 1:]
        assert len(behind) and not list(behind.parameters())


def test_heads_have_a_width_of_their_own(family):
    _name, loaded = family
    config = loaded.model.config.get_text_config()
    head = getattr(config, "head_dim", None) or WIDTH // HEADS
    assert width_at(loaded, "layers.2.attn.z") == HEADS * head
    assert width_at(loaded, "layers.2.attn") == WIDTH


def test_a_module_path_of_a_known_place_gets_its_name(family):
    name, loaded = family
    stack, attn, projection, mlp = paths(name)
    for path, ours in ((f"{stack}.1", "layers.1"), (f"{stack}.2.{mlp}", "layers.2.mlp"),
                       (f"{stack}.0.{attn}", "layers.0.attn")):
        assert str(resolve(loaded.model, path)[0]) == ours
    assert width_at(loaded, f"{stack}.1.{projection}") == WIDTH


@pytest.mark.parametrize("wrong", ["blocks.1.hook_nothing", "layers.1.nothing", "layers.x", "nonsense", ""])
def test_unknown_names_are_told_the_known_forms(family, wrong):
    _name, loaded = family
    with pytest.raises(ModelError, match="does not exist") as caught:
        activations_at(loaded, wrong, TOKENS, MASK)
    assert "layers.N.mlp" in caught.value.hint and "hook_resid_pre" in caught.value.hint


@pytest.mark.parametrize("late", [f"layers.{BLOCKS}", f"blocks.{BLOCKS}.hook_mlp_out"])
def test_a_block_too_far_says_how_many_there_are(family, late):
    with pytest.raises(ModelError, match=f"{BLOCKS} blocks"):
        activations_at(family[1], late, TOKENS, MASK)


def test_centred_streams_are_those_of_centred_weights(tmp_path):
    """With every weight that writes to GPT-2's stream centred over d_model, as TransformerLens does it."""
    plain = load_model(str(save_family("gpt2", tmp_path)), device="cpu", dtype="float32")
    centred = load_model(str(tmp_path), device="cpu", dtype="float32")
    base = centred.model.transformer
    with torch.no_grad():
        for weight in [base.wte.weight, base.wpe.weight] + [
                tensor for block in base.h for layer in (block.attn.c_proj, block.mlp.c_proj)
                for tensor in (layer.weight, layer.bias)]:
            weight -= weight.mean(-1, keepdim=True)
    for place in ("", ".input", ".mid", ".attn", ".mlp", ".attn.z"):
        hook_point = f"layers.1{place}"
        theirs = activations_at(centred, hook_point, TOKENS, MASK)
        ours = activations_at(plain, hook_point, TOKENS, MASK, center=True)
        assert torch.allclose(ours, theirs, atol=1e-3), hook_point
        same = torch.allclose(activations_at(plain, hook_point, TOKENS, MASK), theirs, atol=1e-2)
        assert same == (hook_point == "layers.1.attn.z"), "only the heads' outputs need no centring"


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_gemma_scales_its_embeddings_before_the_first_block(tmp_path, family):
    loaded = load_model(str(save_family(family, tmp_path)), device="cpu", dtype="float32")
    found = activations_at(loaded, "blocks.0.hook_resid_pre", TOKENS, MASK)
    assert torch.allclose(found, loaded.model.get_input_embeddings().weight[TOKENS] * WIDTH ** 0.5, rtol=1e-4)


@pytest.mark.parametrize(("name", "ours"), [
    ("resid_post_layer_3", "layers.3"), ("mlp_out_layer_3", "layers.3.mlp"), ("attention_out_layer_3", "layers.3.attn"),
    ("blocks.3.hook_z", "layers.3.attn.z"), (" layers.3 ", "layers.3")])
def test_names_of_other_libraries_are_known(name, ours):
    assert str(parse_hook_point(name)) == ours
