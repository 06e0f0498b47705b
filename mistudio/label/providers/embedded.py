"""In process, without a server or key: SmolLM2-135M with the shipped LoRA adapter (``mistudio/demo/adapter``), or any
local model with an adapter of the user's own (``mistudio.label.adapters``)."""

import json
import re
import threading
import time
import warnings
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mistudio.demo.fetch import MODEL_NAME
from mistudio.errors import ModelError, ProviderError, ProviderSetupError
from mistudio.label.adapters import WEIGHTS, usable
from mistudio.label.base import load_base, prompt_ids
from mistudio.label.completion import with_names
from mistudio.label.providers import CONCURRENCY, EMBEDDED_BATCH, Completion, Messages
from mistudio.label.providers.batches import Batches
from mistudio.memory import give_back

if TYPE_CHECKING:
    from mistudio.model.load import LoadedModel

ADAPTER = Path(__file__).resolve().parents[2] / "demo" / "adapter"
# Eight words are hardly more tokens, word pieces and quotes included; what goes on longer than this is a loop.
MOST_TOKENS = 18
# Prompts in one batch of the model, of those that are taken up together.
AT_ONCE = 8
# Without it several first callers would each load the model.
_choosing = threading.Lock()
_TRY = "Show other examples, or use another provider."


class EmbeddedProvider:
    """Completes the prompt of ``label.completion`` with a label; the process shares one model.

    It takes the likeliest words, or samples them where a temperature above 0 is set, so that asking again gives others.

    Calls of several threads are written together, which is faster than one after the other. The reply's confidence is
    the mean probability of the label's tokens. Its kind is stated only where the active tokens alone decide it, and it
    has no explanation.
    """

    name = "embedded"
    default_concurrency = CONCURRENCY["embedded"]
    rate_limits = 0

    def __init__(self, adapter: Path | None = ADAPTER, *, base: str = MODEL_NAME, revision: str = "",
                 model: str = "SmolLM2-135M + label adapter", temperature: float | None = None):
        """
        Args:
            adapter: folder of the adapter; None for the base model alone, which cannot label well.
            base, revision: the model that the adapter belongs to, as ``load_base`` takes them.
            model: what labels say they were made by.
            temperature: of sampling; the likeliest label if None or 0.
        """
        if adapter is not None and not (adapter / WEIGHTS).exists():
            raise ProviderSetupError(
                f"The embedded labeler's adapter is missing: there is no {adapter / WEIGHTS}.",
                "Restore the folder from the repository, or train it: python -m mistudio.demo.train_adapter --help",
                kind="setup")
        self.model, self.temperature = model, temperature or 0.0
        # One trained anew under the same name is another one.
        changed = (adapter / WEIGHTS).stat().st_mtime_ns if adapter is not None else None
        self._which = (adapter, base, revision, changed)

    @classmethod
    def named(cls, name: str, temperature: float | None = None) -> "EmbeddedProvider":
        """With an adapter of the user's own (``mistudio.label.adapters``); the shipped one for "".

        Raises:
            ProviderSetupError: there is none of this name, or it is not ready.
        """
        if not name:
            return cls(temperature=temperature)
        folder, card = usable(name)
        return cls(folder, base=card.base, revision=card.revision, model=name, temperature=temperature)

    def complete(self, messages: Messages, schema: dict) -> Completion:
        prompt = messages[-1]["content"]
        with _choosing:
            batches = _batches(*self._which)
        written = batches.ask(_Asked(prompt, self.temperature))
        answer = {"label": with_names(written.label), "explanation": "", "kind": kind_of(prompt),
                  "confidence": round(written.confidence, 3)}
        return Completion(json.dumps(answer), written.prompt_tokens, written.label_tokens, written.seconds)

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


class _Asked(NamedTuple):
    prompt: str
    temperature: float


class _Written(NamedTuple):
    """A label, the mean probability of its tokens, the tokens read and written, its share of the batch's seconds."""

    label: str
    confidence: float
    prompt_tokens: int
    label_tokens: int
    seconds: float


@lru_cache(maxsize=1)
def _batches(*adapter: Path | str | int | None) -> Batches[_Asked, _Written]:
    return Batches(lambda asked: _answers(_load(*adapter), asked), EMBEDDED_BATCH)


@lru_cache(maxsize=1)
def _load(adapter: Path | None, base: str, revision: str, _changed: int | None) -> "LoadedModel":
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    # peft asks transformers for a property by its former name; nothing a user could do about it.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    try:
        loaded = load_base(base, revision)
        if adapter is not None:
            loaded.model = PeftModel.from_pretrained(loaded.model, adapter).merge_and_unload()
    except ModelError as error:
        raise ProviderSetupError(error.message, error.hint, kind="setup") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ProviderSetupError(f"The embedded labeler's adapter in {adapter} cannot be used: {error}",
                                 "Restore the folder from the repository." if adapter == ADAPTER else
                                 "Restore the folder, or remove it and distill again.", kind="setup") from error
    loaded.model.eval()
    # Of the prompts' last places, which do not lie side by side, torch would multiply each with a copy of the matrix of
    # its own: half a gigabyte for eight prompts, and a quarter of the time.
    loaded.model.get_output_embeddings().register_forward_pre_hook(lambda _head, given: (given[0].contiguous(),))
    if loaded.tokenizer.pad_token_id is None:
        loaded.tokenizer.pad_token = loaded.tokenizer.eos_token
    give_back()
    return loaded


def _answers(loaded: "LoadedModel", asked: list[_Asked]) -> list[_Written | ProviderError]:
    """What the model writes after each prompt, or why that is no label. Prompts of like length are read together."""
    rows = [prompt_ids(loaded.tokenizer, one.prompt) for one in asked]
    order = sorted(range(len(rows)), key=lambda place: (asked[place].temperature, len(rows[place])))
    found = {}
    for temperature, alike in groupby(order, key=lambda place: asked[place].temperature):
        alike = list(alike)
        for first in range(0, len(alike), AT_ONCE):
            places = alike[first:first + AT_ONCE]
            found.update(zip(places, _continue(loaded, [rows[place] for place in places], temperature), strict=True))
    return [found[place] for place in range(len(rows))]


def _continue(loaded: "LoadedModel", rows: list[list[int]], temperature: float) -> list[_Written | ProviderError]:
    import torch

    started = time.monotonic()
    tokenizer, model = loaded.tokenizer, loaded.model
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
    read = tokenizer.pad([{"input_ids": row} for row in rows], padding_side="left", return_tensors="pt")
    read = read.to(model.device)
    choice = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    with torch.inference_mode():
        written = model.generate(
            **read, **choice, max_new_tokens=MOST_TOKENS, eos_token_id=[newline, tokenizer.eos_token_id],
            pad_token_id=tokenizer.eos_token_id, return_dict_in_generate=True, output_logits=True)
    ids = written.sequences[:, read["input_ids"].shape[1]:]
    chance = torch.cat([step.float().softmax(-1).gather(1, ids[:, at:at + 1])
                        for at, step in enumerate(written.logits)], dim=1)
    ends = (ids == newline) | (ids == tokenizer.eos_token_id)
    seconds = (time.monotonic() - started) / len(rows)
    found: list[_Written | ProviderError] = []
    for row, prompt_tokens in enumerate(read["attention_mask"].sum(1).tolist()):
        if not ends[row].any():
            found.append(ProviderError("The embedded labeler did not come to an end.", _TRY, kind="truncated"))
            continue
        end = int(ends[row].int().argmax())
        label = tokenizer.decode(ids[row, :end], skip_special_tokens=True).strip()
        found.append(_Written(label, chance[row, :end].mean().item(), prompt_tokens, end + 1, seconds) if label else
                     ProviderError("The embedded labeler wrote nothing.", _TRY, kind="empty"))
    return found
