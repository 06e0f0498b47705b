"""Llama Scope: ``hyperparams.json`` beside ``checkpoints/final.safetensors``.

The SAE works on inputs scaled to a mean norm of sqrt(d_in); that scale is folded into the weights.
"""

from pathlib import Path

from mistudio.sae.sae import SAE
from mistudio.sae.tensors import number, read_config, read_tensors, take, unsupported

FUNCTIONS = {"jumprelu": "jumprelu", "relu": "standard", "topk": "topk"}


def read_llama_scope(folder: Path) -> SAE:
    """Read one SAE.

    Raises:
        SAEError: a file is broken, its activation function is not supported, or a tensor does not fit.
    """
    config = read_config(folder / "hyperparams.json")
    tensors, hashed = read_tensors(folder / "checkpoints" / "final.safetensors")
    function = str(config.get("act_fn", "relu")).lower()
    if function not in FUNCTIONS:
        raise unsupported(f"activation function {function!r}", ", ".join(FUNCTIONS))
    d_in = number(config, "d_model")
    d_sae, _d_in = take(tensors, "encoder.weight", None, d_in).shape
    W_enc, W_dec = tensors["encoder.weight"].T, take(tensors, "decoder.weight", d_in, d_sae).T
    b_dec = take(tensors, "decoder.bias", d_in) if "decoder.bias" in tensors else W_dec.new_zeros(d_in)
    threshold = None
    if function == "jumprelu":
        threshold = W_dec.new_full((d_sae,), float(config.get("jump_relu_threshold", 0.0)))
        if config.get("sparsity_include_decoder_norm"):
            threshold = threshold / W_dec.norm(dim=1)
    norms = config.get("dataset_average_activation_norm") or {}
    scale_in, scale_out = (d_in**0.5 / norms[side] if norms.get(side) else 1.0 for side in ("in", "out"))
    return SAE(
        architecture=FUNCTIONS[function], W_enc=(W_enc * scale_in).contiguous(), W_dec=(W_dec / scale_out).contiguous(),
        b_enc=take(tensors, "encoder.bias", d_sae), b_dec=b_dec / scale_out, threshold=threshold,
        k=number(config, "top_k") if function == "topk" else None,
        subtract_b_dec=bool(config.get("apply_decoder_bias_to_pre_encoder")), hash=hashed,
        hook_point=config.get("hook_point_in"), context_length=config.get("context_size"))
