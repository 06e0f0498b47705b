"""SAELens: ``cfg.json`` beside ``sae_weights.safetensors``, version 6 and the flat configs before it."""

import logging
from pathlib import Path

from mistudio.errors import SAEError
from mistudio.sae.sae import SAE
from mistudio.sae.tensors import (
    number,
    number_or_none,
    read_config,
    read_tensors,
    section,
    take,
    unit_decoder,
    unsupported,
    word,
)

log = logging.getLogger(__name__)
ARCHITECTURES = ("standard", "topk", "batchtopk", "jumprelu", "gated")
# SAELens folds ``expected_average_only_in`` into the weights and writes "none" when it saves a trained SAE.
NORMALIZATIONS = {"none": "none", "layer_norm": "layer_norm", "constant_norm_rescale": "constant_norm_rescale",
                  "expected_average_only_in": "none"}


def read_saelens(folder: Path) -> SAE:
    """Read and check an SAE in the SAELens layout.

    Raises:
        SAEError: a file is broken, the architecture is not supported, or a tensor is missing or of the wrong shape.
    """
    config = read_config(folder / "cfg.json")
    tensors, hashed = read_tensors(folder / "sae_weights.safetensors")
    told = {**config, **section(config, "metadata")}
    architecture = _architecture(config)
    _refuse_one_head(told)
    normalize = told.get("normalize_activations") or "none"
    normalize = "expected_average_only_in" if normalize is True else normalize
    if not isinstance(normalize, str) or normalize not in NORMALIZATIONS:
        raise unsupported(f"normalisation {normalize!r}", ", ".join(NORMALIZATIONS))
    if normalize == "expected_average_only_in":
        log.warning("the SAE expects inputs scaled by a constant that its files do not hold: none is applied, as by "
                    "SAELens")
    d_in, d_sae = number(config, "d_in"), number(config, "d_sae")
    W_enc, W_dec = take(tensors, "W_enc", d_in, d_sae), take(tensors, "W_dec", d_sae, d_in)
    b_enc, b_dec = take(tensors, "b_gate" if architecture == "gated" else "b_enc", d_sae), take(tensors, "b_dec", d_in)
    threshold = k = None
    if architecture == "batchtopk" and "threshold" not in tensors:
        # At inference each token is on its own: the threshold is what training found to leave k on average.
        threshold, architecture = take(tensors, "topk_threshold").expand(d_sae).clone(), "jumprelu"
    elif architecture in ("jumprelu", "batchtopk"):
        threshold, architecture = take(tensors, "threshold", d_sae), "jumprelu"
    elif architecture == "topk":
        k = number({**config, **section(config, "activation_fn_kwargs")}, "k")
    parts = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec}
    if told.get("rescale_acts_by_decoder_norm"):
        parts = unit_decoder(**parts)
    if "scaling_factor" in tensors and told.get("finetuning_scaling_factor", True):
        parts["W_dec"] = parts["W_dec"] * take(tensors, "scaling_factor", d_sae)[:, None]
    trained_on = section(told, "model_from_pretrained_kwargs")
    gated = {name: take(tensors, name, d_sae) for name in ("r_mag", "b_mag")} if architecture == "gated" else {}
    return SAE(
        architecture=architecture, **parts, b_dec=b_dec, threshold=threshold, k=k,
        **gated, hash=hashed, subtract_b_dec=bool(told.get("apply_b_dec_to_input", True)),
        normalize=NORMALIZATIONS[normalize],
        hook_point=word(told, "hook_point") or word(told, "hook_name"),
        context_length=number_or_none(told, "context_size"),
        prepend_bos=bool(told.get("prepend_bos", True)),
        center=bool(trained_on.get("center_writing_weights", False)),
        fold_value_biases=bool(trained_on.get("fold_value_biases", False)))


def _refuse_one_head(told: dict) -> None:
    """One head's SAE is of that head's width, and would only by luck be refused for not fitting."""
    head = told.get("hook_head_index", told.get("hook_point_head_index"))
    if head is not None:
        raise SAEError(f"The SAE reads attention head {head} alone, which is not supported.",
                       "Use an SAE of all heads side by side (hook_head_index null), at layers.N.attn.z.")


def _architecture(config: dict) -> str:
    """Older files name the activation function apart; its absence means ReLU."""
    named = config.get("architecture", "standard")
    activation = config.get("activation_fn_str") or config.get("activation_fn") or "relu"
    found = "topk" if named == "standard" and activation == "topk" else named
    if found not in ARCHITECTURES:
        raise SAEError(f"The SAE architecture {found!r} is not supported.", f"Supported: {', '.join(ARCHITECTURES)}.")
    return found
