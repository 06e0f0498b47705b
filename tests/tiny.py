"""A random language model of a few thousand weights, its tokenizer and an SAE that fits, saved like real ones."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

D_IN, D_SAE = 16, 48
TEXT = ("The court held that 42 dollars were due on 3 May 1984. def add(a, b): return a + b\n"
        "1. Wash the rice. 2. Boil water. (See note [7]; it is 15% less.) Why? Because!\n") * 3


def tiny_tokenizer(folder: Path, **special: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, saved; its special tokens are a BOS and a padding token unless others are named."""
    special = special or {"bos_token": "<s>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=320, special_tokens=[*special.values()], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    wrapped.save_pretrained(folder)
    return wrapped


def tiny_model(folder: Path) -> Path:
    """A three-block Llama with random weights."""
    wrapped = tiny_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(wrapped), hidden_size=D_IN, intermediate_size=32, num_hidden_layers=3,
                         num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_sae(folder: Path, d_in: int = D_IN, d_sae: int = D_SAE, **changes) -> Path:
    """A random TopK SAE in the SAELens layout; ``changes`` go into its cfg.json."""
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(1)
    W_dec = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=random), dim=1)
    save_file({"W_enc": W_dec.T.contiguous(), "W_dec": W_dec, "b_enc": torch.zeros(d_sae), "b_dec": torch.zeros(d_in)},
              folder / "sae_weights.safetensors")
    config = {"architecture": "topk", "k": 4, "d_in": d_in, "d_sae": d_sae, "apply_b_dec_to_input": True,
              "metadata": {"hook_name": "blocks.1.hook_resid_post", "context_size": 24, "prepend_bos": True}}
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    return folder
