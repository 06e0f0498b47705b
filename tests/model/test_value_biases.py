"""Value biases are taken from the heads' outputs as TransformerLens's fold_value_biases takes them."""

import pytest
import torch

from mistudio.model.hook import activations_at
from mistudio.model.load import load_model
from tests.model.families import HEADS, WIDTH, save_family

TOKENS = torch.randint(2, 200, (2, 20), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(TOKENS, dtype=torch.bool)


def zero_gpt2(block):
    block.attn.c_attn.bias[2 * WIDTH:] = 0


def zero_pythia(block):
    """Each head's query, key and value biases lie side by side."""
    block.attention.query_key_value.bias.view(HEADS, 3, -1)[:, 2] = 0


def zero_qwen2(block):
    block.self_attn.v_proj.bias.zero_()


@pytest.mark.parametrize(("family", "stack", "zero"), [
    ("gpt2", "transformer.h", zero_gpt2), ("pythia", "gpt_neox.layers", zero_pythia),
    ("qwen2", "model.layers", zero_qwen2)])
def test_folded_value_biases_are_those_of_a_block_without_them(tmp_path, family, stack, zero):
    """Without block 1's value biases its heads' outputs are folded ones: what comes before is the same."""
    plain, folded = (load_model(str(save_family(family, tmp_path)), device="cpu", dtype="float32") for _ in range(2))
    zero(folded.model.get_submodule(stack)[1])
    theirs = activations_at(folded, "layers.1.attn.z", TOKENS, MASK)
    for _again in range(2):
        ours = activations_at(plain, "blocks.1.attn.hook_z", TOKENS, MASK, fold_value_biases=True)
        assert torch.allclose(ours, theirs, atol=1e-4)
    assert not torch.allclose(activations_at(plain, "layers.1.attn.z", TOKENS, MASK), theirs, atol=1e-2)


def test_gpt2_heads_lose_exactly_their_value_bias(tmp_path):
    loaded = load_model(str(save_family("gpt2", tmp_path)), device="cpu", dtype="float32")
    block, seen = loaded.model.transformer.h[2], []
    handle = block.attn.c_proj.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.inference_mode():
        loaded.model(input_ids=TOKENS)
    handle.remove()
    found = activations_at(loaded, "layers.2.attn.z", TOKENS, MASK, fold_value_biases=True)
    assert torch.allclose(found, seen[0] - block.attn.c_attn.bias[2 * WIDTH:], atol=1e-5)


@pytest.mark.parametrize("place", ["", ".attn", ".mlp"])
def test_other_places_have_none_to_lose(tmp_path, place):
    loaded = load_model(str(save_family("gpt2", tmp_path)), device="cpu", dtype="float32")
    plain, folded = (activations_at(loaded, f"layers.1{place}", TOKENS, MASK, fold_value_biases=fold)
                     for fold in (False, True))
    assert torch.equal(plain, folded)


def test_a_family_without_value_biases_loses_nothing(tmp_path):
    loaded = load_model(str(save_family("llama", tmp_path)), device="cpu", dtype="float32")
    plain, folded = (activations_at(loaded, "layers.1.attn.z", TOKENS, MASK, fold_value_biases=fold)
                     for fold in (False, True))
    assert torch.equal(plain, folded)
