"""A tiny random model of every family, saved like a real one, and where its parts are."""

from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.tiny import tiny_tokenizer

WIDTH, HEADS, BLOCKS = 24, 2, 3
NARROW = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
          "max_position_embeddings": 64}
# A head size of its own: heads times head size is then not the width of the residual stream.
WIDE_HEADS = NARROW | {"num_key_value_heads": 1, "head_dim": 16}
GEMMA = WIDE_HEADS | {"query_pre_attn_scalar": 16, "sliding_window": 16}
VISION = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": BLOCKS, "num_attention_heads": 1,
          "image_size": 28, "patch_size": 14}
CONFIGS = {
    "gpt2": lambda: GPT2Config(n_embd=WIDTH, n_layer=BLOCKS, n_head=HEADS, n_positions=64),
    "gpt_neo": lambda: GPTNeoConfig(hidden_size=WIDTH, num_layers=BLOCKS, num_heads=HEADS, intermediate_size=32,
                                    attention_types=[[["global"], BLOCKS]], max_position_embeddings=64),
    "pythia": lambda: GPTNeoXConfig(**NARROW),
    "neox in sequence": lambda: GPTNeoXConfig(**NARROW, use_parallel_residual=False),
    "llama": lambda: LlamaConfig(**NARROW, num_key_value_heads=1),
    "mistral": lambda: MistralConfig(**WIDE_HEADS),
    "qwen2": lambda: Qwen2Config(**NARROW, num_key_value_heads=1),
    "qwen3": lambda: Qwen3Config(**WIDE_HEADS),
    "gemma2": lambda: Gemma2Config(**GEMMA),
    "gemma3": lambda: Gemma3TextConfig(**GEMMA),
    "gemma3 with images": lambda: Gemma3Config(text_config=Gemma3TextConfig(**GEMMA).to_dict(), vision_config=VISION),
}
# The stack of blocks, and in a block: attention, its output projection, MLP, and the norms after those two.
PATHS = {"gpt2": ("transformer.h", "attn", "attn.c_proj", "mlp"),
         "gpt_neo": ("transformer.h", "attn", "attn.attention.out_proj", "mlp"),
         "pythia": ("gpt_neox.layers", "attention", "attention.dense", "mlp"),
         "neox in sequence": ("gpt_neox.layers", "attention", "attention.dense", "mlp"),
         "gemma2": ("model.layers", "post_attention_layernorm", "self_attn.o_proj", "post_feedforward_layernorm"),
         "gemma3": ("model.layers", "post_attention_layernorm", "self_attn.o_proj", "post_feedforward_layernorm"),
         "gemma3 with images": ("model.language_model.layers", "post_attention_layernorm", "self_attn.o_proj",
                                "post_feedforward_layernorm")}


def paths(family: str) -> tuple[str, str, str, str]:
    """Paths of the blocks, and in a block of what attention gives, the output projection and what the MLP gives."""
    return PATHS.get(family, ("model.layers", "self_attn", "self_attn.o_proj", "mlp"))


def save_family(family: str, folder: Path) -> Path:
    """Save a random model of the family with its tokenizer."""
    tokenizer = tiny_tokenizer(folder)
    config = CONFIGS[family]()
    text = config.get_text_config()
    text.vocab_size, text.bos_token_id, text.eos_token_id, text.pad_token_id = len(tokenizer), 0, 1, 1
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms' gains and biases too: fresh ones are all alike and would hide a norm that is left out.
            parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder
