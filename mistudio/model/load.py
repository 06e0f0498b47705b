"""Load a Hugging Face causal LM from an id or a local folder."""

from dataclasses import dataclass, field

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mistudio.errors import ModelError
from mistudio.settings import settings


@dataclass
class LoadedModel:
    """A model ready to run, with its tokenizer; ``revision`` is the commit of a hub model, or "local".

    ``value_biases`` keeps what ``mistudio.model.hook.value_bias`` has found, by hook point.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str
    value_biases: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return self.model.device


def pick_device(wanted: str = "auto") -> torch.device:
    """The device to use; ``auto`` is what MISTUDIO_DEVICE says, and else ``cuda`` where there is one.

    Raises:
        ModelError: ``cuda`` was asked for and is not there.
    """
    if wanted == "auto":
        wanted = settings().device
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("No CUDA device was found.", "Set MISTUDIO_DEVICE to cpu or auto, or install CUDA drivers.")
    return torch.device(wanted)


def load_model(name: str, *, revision: str | None = None, device: str = "auto", dtype: str = "bfloat16") -> LoadedModel:
    """Load a causal LM for inference.

    Args:
        name: Hugging Face id, or a local folder of the same layout.
        revision: hub branch, tag or commit.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``bfloat16``, ``float16``, ``float32``, or ``auto``: bfloat16 where the device multiplies it, and
            float32 on CPUs that do not (measured on one: 17 GFLOP/s in bfloat16, 133 in float32).

    Raises:
        ModelError: the model is unknown, unreadable or out of reach.
    """
    target = pick_device(device)
    if dtype == "auto":
        dtype = "bfloat16" if target.type != "cpu" or _cpu_multiplies_bfloat16() else "float32"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(name, revision=revision, dtype=getattr(torch, dtype))
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"The model {name!r} could not be loaded: {first}",
            "Check the spelling, give a local folder, or check that the Hugging Face hub can be reached.",
        ) from error
    model.requires_grad_(False)
    commit = getattr(model.config, "_commit_hash", None)
    return LoadedModel(model.to(target).eval(), tokenizer, name, revision or commit or "local")


def _cpu_multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
