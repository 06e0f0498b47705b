"""dictionary_learning: ``ae.pt`` (a state dict) beside ``config.json``, whose ``trainer`` names the class."""

import re
from pathlib import Path

from torch import Tensor

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

CLASSES = ("AutoEncoder", "AutoEncoderNew", "AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE",
           "GatedAutoEncoder", "JumpReluAutoEncoder")
KEEPS_B_DEC = ("AutoEncoderNew", "JumpReluAutoEncoder")


def read_dictionary_learning(folder: Path) -> SAE:
    """Read one dictionary, with the activations that the library's ``load_dictionary`` gives.

    b_dec is subtracted from the input, except by ``AutoEncoderNew`` and ``JumpReluAutoEncoder``. An ``AutoEncoder``
    gets decoder rows of norm 1. BatchTopK and Matryoshka dictionaries use the threshold that training found.

    Raises:
        SAEError: a file is broken, its class is not supported, or a tensor does not fit.
    """
    config = read_config(folder / "config.json")
    trainer = section(config, "trainer")
    tensors, hashed = read_tensors(folder / "ae.pt")
    name = word(trainer, "dict_class")
    if name not in CLASSES:
        raise unsupported(f"class {name!r}", ", ".join(CLASSES))
    parts = _direct(tensors) if "W_enc" in tensors else _linear(tensors, gated=name == "GatedAutoEncoder")
    d_sae = parts["W_enc"].shape[1]
    architecture, extra = "standard", {}
    if name == "AutoEncoder":
        parts |= unit_decoder(parts["W_enc"], parts["b_enc"], parts["W_dec"])
    elif name == "AutoEncoderTopK":
        architecture, extra = "topk", {"k": _k(tensors, trainer)}
    elif name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        architecture, extra = "jumprelu", {"threshold": take(tensors, "threshold").expand(d_sae).clone()}
    elif name == "JumpReluAutoEncoder":
        architecture, extra = "jumprelu", {"threshold": take(tensors, "threshold", d_sae)}
    elif name == "GatedAutoEncoder":
        architecture = "gated"
        extra = {"r_mag": take(tensors, "r_mag", d_sae), "b_mag": take(tensors, "mag_bias", d_sae)}
    return SAE(architecture=architecture, **parts, **extra, hash=hashed, subtract_b_dec=name not in KEEPS_B_DEC,
               hook_point=_hook_point(trainer), context_length=number_or_none(section(config, "buffer"), "ctx_len"))


def _hook_point(trainer: dict) -> str | None:
    """The submodule that the trainer names, such as ``mlp_out_layer_4``; without a name, the layer's output."""
    named, layer = word(trainer, "submodule_name"), trainer.get("layer")
    if named:
        return named if re.fullmatch(r"\w+_layer_\d+", named) else None
    return f"layers.{layer}" if type(layer) is int and 0 <= layer < 10_000 else None


def _k(tensors: dict[str, Tensor], trainer: dict) -> int:
    """How many features are active: what the dictionary holds, or else the trainer's."""
    kept = tensors.get("k")
    return number({"k": kept.item()} if kept is not None and not kept.dim() else trainer, "k")


def _direct(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matryoshka and JumpReLU dictionaries keep matrices the canonical way round."""
    d_in, d_sae = take(tensors, "W_enc", None, None).shape
    return {"W_enc": tensors["W_enc"], "W_dec": take(tensors, "W_dec", d_sae, d_in),
            "b_enc": take(tensors, "b_enc", d_sae), "b_dec": take(tensors, "b_dec", d_in)}


def _linear(tensors: dict[str, Tensor], *, gated: bool) -> dict[str, Tensor]:
    """The others are made of linear layers, which keep them transposed."""
    d_sae, d_in = take(tensors, "encoder.weight", None, None).shape
    bias = next((name for name in ("b_dec", "bias", "decoder_bias", "decoder.bias") if name in tensors), "b_dec")
    return {"W_enc": tensors["encoder.weight"].T.contiguous(),
            "W_dec": take(tensors, "decoder.weight", d_in, d_sae).T.contiguous(),
            "b_enc": take(tensors, "gate_bias" if gated else "encoder.bias", d_sae), "b_dec": take(tensors, bias, d_in)}
