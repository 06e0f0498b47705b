"""In process, without a server or key: SmolLM2-135M with the shipped LoRA adapter (``mistudio/demo/adapter``)."""

import json
import re
import time
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mistudio.errors import ModelError, ProviderError, ProviderSetupError
from mistudio.label.providers import CONCURRENCY, EMBEDDED_BATCH, Completion, Messages
from mistudio.label.providers.batches import Batches

if TYPE_CHECKING:
    from mistudio.model.load import LoadedModel

ADAPTER = Path(__file__).resolve().parents[2] / "demo" / "adapter"
WEIGHTS = "adapter_model.safetensors"
# Eight words are under 20 tokens, word pieces and quotes included; what goes on longer than this is a loop.
MOST_TOKENS = 24
_TRY = "Show other examples, or use another provider."


class EmbeddedProvider:
    """Completes the prompt of ``label.completion`` with a label, greedily; the process shares one model.

    Calls of several threads are written together, which is faster than one after the other. The reply's confidence is
    the mean probability of the label's tokens. Its kind is stated only where the active tokens alone decide it, and it
    has no explanation.
    """

    name = "embedded"
    model = "SmolLM2-135M + label adapter"
    default_concurrency = CONCURRENCY["embedded"]
    rate_limits = 0

    def __init__(self, adapter: Path = ADAPTER):
        if not (adapter / WEIGHTS).exists():
            raise ProviderSetupError(
                f"The embedded labeler's adapter is missing: there is no {adapter / WEIGHTS}.",
                "Restore the folder from the repository, or train it: python -m mistudio.demo.train_adapter --help",
                kind="setup")
        self.adapter = adapter

    def complete(self, messages: Messages, schema: dict) -> Completion:
        prompt = messages[-1]["content"]
        started = time.monotonic()
        written = _batches(self.adapter).ask(prompt)
        answer = {"label": written.label, "explanation": "", "kind": kind_of(prompt),
                  "confidence": round(written.confidence, 3)}
        return Completion(json.dumps(answer), written.prompt_tokens, written.label_tokens, time.monotonic() - started)

    def close(self) -> None:
        """The model stays loaded: the process shares it."""


def kind_of(prompt: str) -> str:
    """The kind that the marked tokens of a prompt's windows decide: number, punctuation, token, or "" when none is."""
    tokens = {re.sub(r"\\[nrt]", "", token).strip() for token in re.findall(r"<<(.+?)>>(?!>)", prompt)}
    if not tokens:
        return ""
    if all(token.isdigit() for token in tokens):
        return "number"
    if not any(char.isalnum() for token in tokens for char in token):
        return "punctuation"
    return "token" if len(tokens) == 1 else ""


class _Written(NamedTuple):
    """A label, the mean probability of its tokens, and the tokens read and written."""

    label: str
    confidence: float
    prompt_tokens: int
    label_tokens: int


@lru_cache(maxsize=1)
def _batches(adapter: Path) -> Batches[str, _Written]:
    return Batches(lambda prompts: _continue(_load(adapter), prompts), EMBEDDED_BATCH)


@lru_cache(maxsize=1)
def _load(adapter: Path) -> "LoadedModel":
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers.utils import logging

    from mistudio.demo.fetch import demo_model
    from mistudio.model.load import load_model

    logging.disable_progress_bar()
    # peft asks transformers for a property by its former name; nothing a user could do about it.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    try:
        loaded = load_model(str(demo_model()), dtype="auto")
        loaded.model = PeftModel.from_pretrained(loaded.model, adapter).merge_and_unload()
    except ModelError as error:
        raise ProviderSetupError(error.message, error.hint, kind="setup") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ProviderSetupError(f"The embedded labeler's adapter in {adapter} cannot be used: {error}",
                                 "Restore the folder from the repository.", kind="setup") from error
    loaded.model.eval()
    return loaded


def _continue(loaded: "LoadedModel", prompts: list[str]) -> list[_Written | ProviderError]:
    """What the model writes after each prompt, or why that is no label."""
    import torch

    tokenizer, model = loaded.tokenizer, loaded.model
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
    rows = [{"input_ids": tokenizer(prompt, add_special_tokens=False)["input_ids"]} for prompt in prompts]
    read = tokenizer.pad(rows, padding_side="left", return_tensors="pt").to(model.device)
    with torch.inference_mode():
        written = model.generate(
            **read, max_new_tokens=MOST_TOKENS, do_sample=False, eos_token_id=[newline, tokenizer.eos_token_id],
            pad_token_id=tokenizer.eos_token_id, return_dict_in_generate=True, output_logits=True)
    ids = written.sequences[:, read["input_ids"].shape[1]:]
    chance = torch.stack(written.logits, dim=1).float().softmax(-1).gather(2, ids[..., None])[..., 0]
    ends = (ids == newline) | (ids == tokenizer.eos_token_id)
    found: list[_Written | ProviderError] = []
    for row, prompt_tokens in enumerate(read["attention_mask"].sum(1).tolist()):
        if not ends[row].any():
            found.append(ProviderError("The embedded labeler did not come to an end.", _TRY, kind="truncated"))
            continue
        end = int(ends[row].int().argmax())
        label = tokenizer.decode(ids[row, :end], skip_special_tokens=True).strip()
        found.append(_Written(label, chance[row, :end].mean().item(), prompt_tokens, end + 1) if label else
                     ProviderError("The embedded labeler wrote nothing.", _TRY, kind="empty"))
    return found
