"""Llama Scope: ``hyperparams.json`` beside ``checkpoints/final.safetensors``.

Follows ``SparseAutoEncoder.from_config`` of lm-saes (OpenMOSS/Language-Model-SAEs) as of the release, October 2024.
"""

from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import (
    amount,
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

FUNCTIONS = {"jumprelu": "jumprelu", "relu": "standard", "topk": "topk"}
NORMALIZATIONS = {"dataset-wise": "none", "inference": "none", "token-wise": "constant_norm_rescale"}


def read_llama_scope(folder: Path) -> SAE:
    """Read one SAE, with the activations that the authors' inference gives.

    It was trained on inputs scaled to a mean norm of sqrt(d_in). As the authors do at inference, biases and decoder
    are divided by that scale instead, so that inputs come as the model gives them and activations, and the threshold
    beside them, are in the model's own units. With ``sparsity_include_decoder_norm`` decoder rows then get norm 1.

    Raises:
        SAEError: a file is broken, it holds what cannot be run here, or a tensor does not fit.
    """
    config = read_config(folder / "hyperparams.json")
    tensors, hashed = read_tensors(folder / "checkpoints" / "final.safetensors")
    function, normalize = str(config.get("act_fn", "relu")).lower(), word(config, "norm_activation") or "token-wise"
    if function not in FUNCTIONS:
        raise unsupported(f"activation function {function!r}", ", ".join(FUNCTIONS))
    if normalize not in NORMALIZATIONS:
        raise unsupported(f"normalisation {normalize!r}", ", ".join(NORMALIZATIONS))
    if config.get("use_glu_encoder"):
        raise unsupported("with a GLU encoder", "Llama Scope SAEs without one")
    d_in = number(config, "d_model")
    d_sae, _d_in = take(tensors, "encoder.weight", None, d_in).shape
    scale_in, scale_out = _scales(config, d_in) if normalize == "dataset-wise" else (1.0, 1.0)
    parts = {"W_enc": tensors["encoder.weight"].T.contiguous(),
             "b_enc": take(tensors, "encoder.bias", d_sae) / scale_in,
             "W_dec": take(tensors, "decoder.weight", d_in, d_sae).T.contiguous() * (scale_in / scale_out)}
    if config.get("sparsity_include_decoder_norm", True):
        parts |= unit_decoder(**parts)
    limit = amount(config, "jump_relu_threshold")
    if function == "topk" and limit > 0:
        function = "jumprelu"  # as the authors do: at inference no feature depends on the others
    b_dec = take(tensors, "decoder.bias", d_in) if "decoder.bias" in tensors else parts["W_dec"].new_zeros(d_in)
    return SAE(
        architecture=FUNCTIONS[function], **parts, b_dec=b_dec / scale_out,
        threshold=parts["b_enc"].new_full((d_sae,), limit) if function == "jumprelu" else None,
        k=number(config, "top_k") if function == "topk" else None,
        subtract_b_dec=bool(config.get("apply_decoder_bias_to_pre_encoder", True)),
        normalize=NORMALIZATIONS[normalize], hash=hashed, hook_point=word(config, "hook_point_in"),
        context_length=number_or_none(config, "context_size"))


def _scales(config: dict, d_in: int) -> tuple[float, float]:
    """What inputs and outputs were multiplied with in training: sqrt(d_in) over the data set's mean norm.

    Raises:
        SAEError: the config gives no mean norms.
    """
    norms = section(config, "dataset_average_activation_norm")
    into, out = (amount(norms, name) for name in ("in", "out"))
    if not (into > 0 and out > 0):
        raise unsupported("without the data set's mean norms", "dataset_average_activation_norm with in and out")
    return d_in**0.5 / into, d_in**0.5 / out
