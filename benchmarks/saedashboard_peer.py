"""SAEDashboard's part of ``benchmarks.saedashboard``, for the environment that has it. mistudio is not imported here.

    python saedashboard_peer.py FOLDER    # what it made and how long it took, as the last line's JSON

FOLDER holds what ``benchmarks.saedashboard`` wrote: model, SAE and tokens. Loading them is not timed, and the result is
not written to a file.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sae_dashboard.components_config import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    SequencesConfig,
)
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer
from torch import Tensor
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import GPT2LMHeadModel


def lens_model(folder: Path) -> HookedSAETransformer:
    """The saved GPT-2 in TransformerLens, with its weights as they are: nothing is folded or centred."""
    source = GPT2LMHeadModel.from_pretrained(folder)
    told = source.config
    config = HookedTransformerConfig(
        n_layers=told.n_layer, d_model=told.n_embd, n_ctx=told.n_positions, n_heads=told.n_head,
        d_head=told.n_embd // told.n_head, d_mlp=4 * told.n_embd, d_vocab=told.vocab_size, act_fn="gelu_new",
        eps=told.layer_norm_epsilon, normalization_type="LN", original_architecture="GPT2LMHeadModel", device="cpu")
    model = HookedSAETransformer(config)
    model.load_state_dict(convert_gpt2_weights(source, config), strict=False)
    return model


def runner_settings() -> dict:
    """What SAEDashboard's runner for Neuronpedia asks for when it is told nothing: fewer examples than the default."""
    sequences = SequencesConfig(stack_mode="stack-all", buffer=None, compute_buffer=True, n_quantiles=5,
                                top_acts_group_size=20, quantile_group_size=5)
    parts = (sequences, ActsHistogramConfig(), LogitsHistogramConfig(), LogitsTableConfig(),
             FeatureTablesConfig(n_rows=3))
    return {"minibatch_size_features": 128, "minibatch_size_tokens": 32, "quantile_feature_batch_size": 64,
            "feature_centric_layout": SaeVisLayoutConfig(columns=[Column(*parts)])}


def dashboards(model: HookedSAETransformer, sae: SAE, tokens: Tensor, features: list[int],
               settings: dict) -> tuple[float, list[float]]:
    """Seconds for these features, and each one's largest activation."""
    config = SaeVisConfig(hook_point=sae.cfg.metadata.hook_name, features=features, **settings)
    started = time.monotonic()
    made = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
    seconds = time.monotonic() - started
    titles = (made.feature_data_dict[feature].sequence_data.seq_group_data[0].title for feature in features)
    return seconds, [float(title.rpartition("MAX = ")[2]) for title in titles]


def main(folder: Path):
    model, sae = lens_model(folder / "model"), SAE.load_from_disk(folder / "sae")
    tokens = torch.from_numpy(np.load(folder / "tokens.npy"))
    hook_point = sae.cfg.metadata.hook_name
    _, cache = model.run_with_cache(tokens[:4], names_filter=hook_point)
    np.save(folder / "peer_resid.npy", cache[hook_point].detach().numpy())
    made = {}
    # Each in one whole batch of its features.
    for name, count, settings in (("default", 256, {}), ("runner", 128, runner_settings())):
        seconds, largest = dashboards(model, sae, tokens, list(range(count)), settings)
        made[name] = {"seconds": seconds, "largest": largest}
    print(json.dumps({"made": made, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
