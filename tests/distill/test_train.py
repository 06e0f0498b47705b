"""The training loop: what it learns, that it goes on where it stopped, and models of several families."""

import random

import pytest
import torch
from peft import get_peft_model_state_dict
from tokenizers.processors import TemplateProcessing
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForCausalLM, AutoTokenizer

from mistudio.distill.samples import Sample
from mistudio.distill.train import IGNORED, batched, fit, loss_of, new_adapter, row_of, save_adapter
from mistudio.errors import Cancelled, MistudioError
from mistudio.label.base import prompt_ids
from tests.model.families import CONFIGS, save_family

WINDOWS = [(9.0, "x = f", "(", "1)"), (8.0, "go", "(", ")"), (7.0, "call", "(", "a)"), (5.0, "or", "(", "b)")]
SAMPLES = [Sample(label, WINDOWS) for label in ("opening bracket", "(", "call", "bracket of a call", "def")]


@pytest.fixture
def tokenizer(base):
    return AutoTokenizer.from_pretrained(base)


def adapter_on(folder, seed=0):
    return new_adapter(AutoModelForCausalLM.from_pretrained(folder).requires_grad_(False), 4, seed)


def train(model, tokenizer, checkpoint, on_step=lambda _step: None, epochs=4, **options):
    def batches(epoch):
        chosen = random.Random(epoch)
        return batched([row_of(sample, chosen, tokenizer) for sample in SAMPLES], 2, chosen)

    usual = {"learning_rate": 1e-2, "seed": 0, "checkpoint_seconds": 1000}
    fit(model, batches, epochs=epochs, checkpoint=checkpoint, on_step=on_step, **usual | options)
    return get_peft_model_state_dict(model)


def test_the_loss_falls_and_only_the_adapter_is_trained(base, tokenizer, tmp_path):
    model, losses = adapter_on(base), []
    before = {name: value.clone() for name, value in model.get_base_model().named_parameters() if "lora" not in name}
    train(model, tokenizer, tmp_path / "kept.pt", lambda step: losses.append(step), epochs=6)
    assert [step.done for step in losses] == list(range(1, 19)) and losses[-1].steps == 18
    assert losses[-1].loss < 0.9 * losses[0].loss and losses[-1].seconds_left == 0
    after = dict(model.get_base_model().named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("stop", [1, 5])
def test_going_on_gives_the_same_as_never_stopping(base, tokenizer, tmp_path, stop):
    whole = train(adapter_on(base), tokenizer, tmp_path / "whole.pt")

    def cancel(step):
        if step.done == stop:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        train(adapter_on(base), tokenizer, tmp_path / "cut.pt", cancel)
    steps = []
    # Another start, which the checkpoint replaces.
    again = train(adapter_on(base, seed=9), tokenizer, tmp_path / "cut.pt", lambda step: steps.append(step.done))
    assert steps == list(range(stop + 1, 13))
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_broken_checkpoint_is_said_and_not_trained_over(base, tokenizer, tmp_path):
    (tmp_path / "kept.pt").write_bytes(b"broken")
    with pytest.raises(MistudioError, match="cannot be read") as caught:
        train(adapter_on(base), tokenizer, tmp_path / "kept.pt")
    assert "Delete" in caught.value.hint


def test_a_prompt_begins_as_the_model_expects_and_never_ends(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    bare = tokenizer("Label:")["input_ids"]
    assert prompt_ids(tokenizer, "Label:") == bare
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)])
    assert prompt_ids(tokenizer, "Label:") == [tokenizer.bos_token_id, *bare]
    row, targets = row_of(SAMPLES[0], random.Random(0), tokenizer)
    assert tokenizer.decode([token for token in targets if token != IGNORED]) == " opening bracket\n"
    assert row[0] == tokenizer.bos_token_id and tokenizer.eos_token_id not in row


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo", "pythia", "qwen3", "gemma2", "gemma3"])
def test_the_loss_is_that_of_the_label_on_every_family(family, tmp_path):
    assert family in CONFIGS
    model = adapter_on(save_family(family, tmp_path)).eval()
    rows = [([5, 6, 7, 8, 9], [IGNORED] * 3 + [8, 9]), ([11, 12, 13], [IGNORED, 12, 13])]
    each = []
    for ids, targets in rows:
        logits = model(torch.tensor([ids])).logits[0]
        each += [-logits[at - 1].log_softmax(-1)[target] for at, target in enumerate(targets) if target != IGNORED]
    assert loss_of(model, rows).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-4)


def test_a_bfloat16_model_trains_a_float32_adapter(base, tokenizer, tmp_path):
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).requires_grad_(False)
    losses = []
    found = train(new_adapter(plain, 4, 0), tokenizer, tmp_path / "kept.pt", lambda step: losses.append(step.loss))
    assert {value.dtype for value in found.values()} == {torch.float32} and losses[-1] < losses[0]


def test_a_step_that_the_gpu_cannot_hold_says_what_to_do(base, tokenizer, tmp_path):
    """There is no GPU here: a hook in the real model raises what PyTorch raises when its memory is full."""
    def full(module, _args):
        if isinstance(module, nn.Embedding):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = register_module_forward_pre_hook(full)
    try:
        with pytest.raises(MistudioError, match="step of 2 labels") as caught:
            train(adapter_on(base), tokenizer, tmp_path / "kept.pt")
    finally:
        handle.remove()
    assert "batch size" in caught.value.hint


def test_an_adapter_is_saved_with_its_base(base, tmp_path):
    save_adapter(adapter_on(base), tmp_path / "made", "some/base")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["adapter_config.json",
                                                                           "adapter_model.safetensors"]
    assert '"some/base"' in (tmp_path / "made" / "adapter_config.json").read_text()
