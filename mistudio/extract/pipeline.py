"""The one pass: corpus, model, SAE, running examples and statistics, store."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sqlalchemy import Engine

from mistudio.errors import MistudioError, SAEError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import SPLITS, Contexts, contexts
from mistudio.extract.corpus.source import corpus_documents
from mistudio.extract.finish import logit_lens, store_vocabulary, write_features
from mistudio.extract.references import ReferencePool
from mistudio.extract.running import Rows, RunningTop, random_keys
from mistudio.extract.statistics import Active, Statistics
from mistudio.model.families import resolve
from mistudio.model.hook import activations_at, width_at
from mistudio.model.load import LoadedModel, load_model
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE
from mistudio.store import Extraction, session
from mistudio.store.tables import now

Progress = Callable[[str, float, str], None]


class Collected:
    """Everything the pass keeps: for each split the strongest and the sampled examples, statistics, references."""

    def __init__(self, config: ExtractConfig, d_sae: int, device: torch.device):
        self.seed = config.seed
        self.top = [RunningTop(d_sae, k, config.window, device) for k in config.top]
        self.sample = [RunningTop(d_sae, k, config.window, device) for k in config.sample]
        self.statistics = Statistics(d_sae, device)
        self.references = ReferencePool(config.references, config.window, config.seed)
        self.contexts = 0

    def add(self, batch: Contexts, acts: torch.Tensor) -> None:
        """Take in a batch; ``acts`` ``[batch, pos, d_sae]`` are zero on positions that do not count."""
        count, length, d_sae = acts.shape
        active = Active.of(acts)
        self.statistics.add(active, int(batch.mask.sum()))
        maximum, peak = active.peaks(count, length, d_sae)
        context = torch.arange(self.contexts, self.contexts + count, device=acts.device)
        self.contexts += count
        shown = np.where(batch.mask, batch.tokens, -1).astype(np.int32)
        rows = Rows(torch.from_numpy(shown).to(acts.device), acts, peak, context,
                    torch.from_numpy(batch.document.astype(np.int64)).to(acts.device))
        chance = random_keys(context, d_sae, self.seed).masked_fill_(maximum == -torch.inf, -torch.inf)
        for split in range(len(SPLITS)):
            mine = torch.from_numpy(np.flatnonzero(batch.split == split)).to(acts.device)
            if len(mine):
                part = rows.take(mine)
                self.top[split].merge(maximum[mine], part)
                self.sample[split].merge(chance[mine], part)
        self.references.add(shown, active, context.cpu().numpy(), batch.document, batch.split)


def extract(engine: Engine, config: ExtractConfig, progress: Progress | None = None) -> int:
    """Run an extraction and store it.

    Args:
        progress: called with the step, the share done (0 to 1), and details such as tokens/s and time left.

    Returns:
        the extraction's id.

    Raises:
        MistudioError: model, SAE or corpus cannot be used; the row then says failed and why.
    """
    say = progress or (lambda _step, _share, _detail: None)
    say("Loading model and SAE", 0.0, "")
    loaded = load_model(config.model, device=config.device, dtype=config.dtype)
    sae = load_sae(config.sae).to(loaded.device)
    config = _completed(config, loaded, sae)
    extraction_id = _begin(engine, config, loaded, sae)
    started = time.monotonic()
    try:
        collected = _run(config, loaded, sae, say)
        say("Reading output tokens and storing", 0.97, "")
        with session(engine) as work:
            row = work.get_one(Extraction, extraction_id)
            row.tokens, row.contexts = collected.statistics.tokens, collected.contexts
            row.vocabulary_hash, vocabulary = store_vocabulary(work, loaded.tokenizer)
            lens = logit_lens(loaded, sae, vocabulary, config.hook_point)
            write_features(work, extraction_id, collected, vocabulary, lens)
            row.state, row.finished_at, row.seconds = "done", now(), time.monotonic() - started
            work.add(row)
    except BaseException as error:
        _give_up(engine, extraction_id, error)
        raise
    say("Done", 1.0, "")
    return extraction_id


@torch.inference_mode()
def _run(config: ExtractConfig, loaded: LoadedModel, sae: SAE, say: Progress) -> Collected:
    collected = Collected(config, sae.d_sae, loaded.device)
    started = time.monotonic()
    for batch in contexts(corpus_documents(config), loaded.tokenizer, length=config.context_length,
                          max_tokens=config.tokens, prepend_bos=config.prepend_bos, batch_size=config.batch_size,
                          pack=config.pack):
        collected.add(batch, encode_batch(config.hook_point, loaded, sae, batch, center=config.center))
        done = collected.statistics.tokens
        rate = done / (time.monotonic() - started)
        left = max(config.tokens - done, 0) / rate
        say("Running model and SAE", 0.02 + 0.94 * min(done / config.tokens, 1.0),
            f"{done:,} of {config.tokens:,} tokens, {rate:,.0f} tokens/s, {left:,.0f} s left")
    return collected


def encode_batch(hook_point: str, loaded: LoadedModel, sae: SAE, batch: Contexts, *,
                 center: bool = False) -> torch.Tensor:
    """Feature activations ``[batch, pos, d_sae]`` float32; zero on padding and on BOS and EOS."""
    mask = torch.from_numpy(batch.mask)
    attend = torch.from_numpy(batch.attend)
    resid = activations_at(loaded, hook_point, torch.from_numpy(batch.tokens), attend, center=center)
    return sae.encode(resid) * mask.to(resid.device)[:, :, None]


def _completed(config: ExtractConfig, loaded: LoadedModel, sae: SAE) -> ExtractConfig:
    """The config with what the SAE's files add to it, and the hook point by our name.

    Raises:
        MistudioError: nothing says where the SAE was trained, or it does not fit there.
    """
    hook_point = config.hook_point or sae.hook_point
    if not hook_point:
        raise SAEError("The SAE's files do not say where it was trained.", "Name a hook point, for example layers.9.")
    hook_point = str(resolve(loaded.model, hook_point)[0])
    width = width_at(loaded, hook_point)
    if sae.d_in != width:
        raise SAEError(
            f"The SAE does not fit the model: its d_in is {sae.d_in}, hook point {hook_point} of {config.model!r} has "
            f"{width}.", "Use the SAE with the model and at the hook point it was trained on.")

    def first(wanted, trained):
        return trained if wanted is None else wanted

    return config.model_copy(update={
        "hook_point": hook_point, "center": first(config.center, sae.center),
        "prepend_bos": first(config.prepend_bos, sae.prepend_bos),
        "context_length": first(config.context_length, sae.context_length or 128)})


def _begin(engine: Engine, config: ExtractConfig, loaded: LoadedModel, sae: SAE) -> int:
    # A local folder is shown by its name alone: its place on this machine means nothing to others.
    model, sae_name = (Path(name).name if Path(name).is_dir() else name for name in (config.model, config.sae))
    row = Extraction(
        name=config.name or f"{model}, {config.hook_point}, {sae_name}", model=model, model_revision=loaded.revision,
        hook_point=config.hook_point, sae=sae_name, sae_hash=sae.hash, architecture=sae.architecture, d_in=sae.d_in,
        d_sae=sae.d_sae, corpus=config.corpus, context_length=config.context_length, window=config.window,
        dtype=config.dtype, device=str(loaded.device), config=config.model_dump(mode="json"))
    with session(engine) as work:
        work.add(row)
        work.flush()
        return row.id


def _give_up(engine: Engine, extraction_id: int, error: BaseException) -> None:
    with session(engine) as work:
        row = work.get_one(Extraction, extraction_id)
        row.state = "failed" if isinstance(error, Exception) else "cancelled"
        row.error = str(error) if isinstance(error, MistudioError) else type(error).__name__
        row.finished_at = now()
        work.add(row)
