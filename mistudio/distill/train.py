"""The one training loop of label adapters: LoRA (Hu et al. 2021, arXiv:2106.09685) through the ``peft`` library.

Nothing is drawn from a state that lives between steps: batches are made anew from seed and epoch, and torch's own
generator is seeded at each step. So a training that goes on from a checkpoint does the same as one that never stopped.
"""

import inspect
import json
import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.helpers import disable_input_dtype_casting
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_cosine_schedule_with_warmup

from mistudio.distill.samples import Sample
from mistudio.errors import MistudioError
from mistudio.files import replacing, write_whole
from mistudio.label.adapters import WEIGHTS
from mistudio.label.base import prompt_ids

log = logging.getLogger(__name__)
WARM_UP, WARM_UP_SHARE = 20, 0.1
IGNORED = -100  # the target of positions that the loss leaves out
SHOWN_LOSSES = 20
# At most this share of the time goes into writing checkpoints, however large they are.
SHARE = 0.05

Row = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Step:
    """A step that is done, of how many; the mean loss of the last ones; seconds left."""

    done: int
    steps: int
    loss: float
    seconds_left: float

    def __str__(self) -> str:
        return f"step {self.done}/{self.steps}, loss {self.loss:.3f}, {self.seconds_left / 60:.1f} min left"


@dataclass
class Trained:
    """How far a training is."""

    step: int
    losses: list[float]


def new_adapter(base: PreTrainedModel, rank: int, seed: int) -> PeftModel:
    """An untrained adapter of all linear layers, with float32 weights."""
    torch.manual_seed(seed)
    return get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear",
                                           task_type="CAUSAL_LM"))


def row_of(sample: Sample, chosen: random.Random, tokenizer: PreTrainedTokenizerBase) -> Row:
    """Token ids of one fresh view of a sample, and the targets: the label's tokens and the newline that ends it."""
    prompt = prompt_ids(tokenizer, sample.prompt(chosen))
    # The newline apart, as some tokenizers have one token for a mark with a newline, at which no labeler would stop.
    answer = [*tokenizer(f" {sample.label}", add_special_tokens=False)["input_ids"],
              tokenizer("\n", add_special_tokens=False)["input_ids"][-1]]
    return prompt + answer, [IGNORED] * len(prompt) + answer


def batched(rows: list[Row], size: int, chosen: random.Random) -> list[list[Row]]:
    """Batches in random order, each of rows of about the same length."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    batches = [rows[first:first + size] for first in range(0, len(rows), size)]
    chosen.shuffle(batches)
    return batches


def fit(model: PeftModel, batches: Callable[[int], list[list[Row]]], *, epochs: int, learning_rate: float, seed: int,
        checkpoint: Path, checkpoint_seconds: float, on_step: Callable[[Step], None]) -> None:
    """Train an adapter, or go on from the checkpoint where there is one.

    Args:
        batches: makes the batches of an epoch, as many in each, and always the same for the same epoch.
        checkpoint: file to keep it in; it stays when training ends.
        on_step: called after every step. What it raises ends the training, after a last checkpoint.

    Raises:
        MistudioError: the checkpoint cannot be read, or the memory does not suffice.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate)
    an_epoch = len(batches(0))
    steps = epochs * an_epoch
    schedule = get_cosine_schedule_with_warmup(optimizer, min(WARM_UP, round(WARM_UP_SHARE * steps)), steps)
    at = _restore(checkpoint, model, optimizer, schedule)
    model.train()
    began, first, saved = time.monotonic(), at.step, time.monotonic()
    pause = checkpoint_seconds
    for step in range(at.step, steps):
        if step == first or step % an_epoch == 0:
            these = batches(step // an_epoch)
        torch.manual_seed(seed + step)
        at.losses.append(_update(model, these[step % an_epoch], trained, optimizer))
        schedule.step()
        at.step = step + 1
        each = (time.monotonic() - began) / (at.step - first)
        recent = at.losses[-SHOWN_LOSSES:]
        try:
            on_step(Step(at.step, steps, sum(recent) / len(recent), each * (steps - at.step)))
        except BaseException:
            _save(checkpoint, model, optimizer, schedule, at)
            raise
        if at.step == steps or time.monotonic() - saved >= pause:
            writing = time.monotonic()
            _save(checkpoint, model, optimizer, schedule, at)
            saved = time.monotonic()
            pause = max(checkpoint_seconds, (saved - writing) / SHARE if checkpoint_seconds else 0.0)


def save_adapter(model: PeftModel, folder: Path, base: str) -> None:
    """Write ``adapter_model.safetensors`` in bfloat16 and its config; other files in the folder stay.

    Args:
        base: the name of the base model to state in the config.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        draft = Path(scratch) / "halved"
        try:
            # Else peft asks the hub whether the vocabulary has grown.
            model.save_pretrained(scratch, save_embedding_layers=False)
            weights = load_file(Path(scratch) / WEIGHTS)
            save_file({name: value.to(torch.bfloat16) for name, value in weights.items()}, draft, {"format": "pt"})
        except SafetensorError as error:
            # The writer's own error: a full disk, for one.
            raise OSError(str(error)) from error
        draft.replace(folder / WEIGHTS)
        config = json.loads((Path(scratch) / "adapter_config.json").read_text())
    config |= {"target_modules": sorted(config["target_modules"]), "base_model_name_or_path": base}
    write_whole(folder / "adapter_config.json", f"{json.dumps(config, indent=1, sort_keys=True)}\n".encode())


def _update(model: PeftModel, rows: list[Row], trained: list[torch.nn.Parameter],
            optimizer: torch.optim.Optimizer) -> float:
    try:
        loss = loss_of(model, rows)
        loss.backward()
    except torch.OutOfMemoryError as error:
        raise MistudioError(f"The GPU's memory does not hold a step of {len(rows)} labels.",
                            "Use a smaller batch size or model, or the CPU (MISTUDIO_DEVICE=cpu).") from error
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def loss_of(model: PeftModel, rows: list[Row]) -> torch.Tensor:
    """Mean cross-entropy of the label tokens. Only positions where one comes next meet the unembedding, where the model
    can choose: it is a fifth of a small model's work."""
    width = max(len(ids) for ids, _targets in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, (ids, wanted) in enumerate(rows):
        tokens[row, :len(ids)] = torch.tensor(ids)
        targets[row, :len(ids)] = torch.tensor(wanted)
        mask[row, :len(ids)] = 1
    causal_lm = model.get_base_model()
    device = causal_lm.device
    next_ = targets[:, 1:]
    kept = (next_ != IGNORED).any(dim=0).nonzero().flatten()
    chosen = {"logits_to_keep": kept.to(device)} if _chooses(causal_lm) else {}
    with _arithmetic(model):
        logits = model(tokens.to(device), attention_mask=mask.to(device), use_cache=False, **chosen).logits
    if not chosen:
        logits = logits[:, kept.to(device)]
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), next_[:, kept].flatten().to(device),
                                             ignore_index=IGNORED)


def _chooses(model: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


@contextmanager
def _arithmetic(model: PeftModel) -> Iterator[None]:
    """With a bfloat16 base, bfloat16 arithmetic over float32 adapter weights; peft alone would use float32."""
    base = model.get_base_model()
    halved = base.dtype == torch.bfloat16
    with disable_input_dtype_casting(model, halved), torch.autocast(base.device.type, torch.bfloat16, enabled=halved):
        yield


def _save(path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, schedule, at: Trained) -> None:
    kept = {"adapter": get_peft_model_state_dict(model, save_embedding_layers=False),
            "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "at": vars(at)}
    try:
        with replacing(path) as file:
            torch.save(kept, file)
    except (OSError, RuntimeError) as error:
        # Training goes on: the next one may fit again.
        log.warning("no checkpoint could be written to %s: %s", path, error)


def _restore(path: Path, model: PeftModel, optimizer: torch.optim.Optimizer, schedule) -> Trained:
    if not path.exists():
        return Trained(0, [])
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        set_peft_model_state_dict(model, kept["adapter"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        return Trained(**kept["at"])
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, UnpicklingError) as error:
        raise MistudioError(f"The checkpoint {path} cannot be read: {error}",
                            "Delete this file to train again from the start.") from error
