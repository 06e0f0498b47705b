"""The one pass: corpus, model, SAE, running examples and statistics, store."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mistudio.access import require_write, visitor
from mistudio.errors import Cancelled, MistudioError, ModelError, StoreError
from mistudio.extract.checkpoint import Checkpoint
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.distributed import collect_with_ray
from mistudio.extract.finish import store_vocabulary, write_features
from mistudio.extract.nearest import nearest_decoders
from mistudio.extract.passes import Progress, collect_batch, load_both, read_contexts
from mistudio.extract.ranges import FeatureRange, features_at_once
from mistudio.model.load import LoadedModel
from mistudio.sae.sae import SAE
from mistudio.store import Extraction, session
from mistudio.store.extractions import stored_features
from mistudio.store.failures import failure
from mistudio.store.nearest import MOST_FEATURES, add_nearest
from mistudio.store.tables import now

log = logging.getLogger(__name__)


def extract(engine: Engine, config: ExtractConfig, progress: Progress | None = None) -> int:
    """Run an extraction and store it.

    Args:
        progress: called with the step, the share done (0 to 1), and details such as tokens/s and time left.

    Returns:
        the extraction's id.

    Raises:
        AccessError: the visitor may start nothing.
        MistudioError: model, SAE or corpus cannot be used; the row then says failed and why.
    """
    require_write()
    say = progress or (lambda _step, _share, _detail: None)
    say("Loading model and SAE", 0.0, "")
    loaded, sae, config = load_both(config)
    checkpoint = Checkpoint(str(engine.url), config, sae.hash, loaded.revision)
    with checkpoint.held():
        return _extract(engine, config, loaded, sae, checkpoint, say)


def _extract(engine: Engine, config: ExtractConfig, loaded: LoadedModel, sae: SAE, checkpoint: Checkpoint,
             say: Progress) -> int:
    checkpoint.load()
    extraction_id = _begin(engine, config, loaded, sae, checkpoint.at.extraction_id)
    started, collected = time.monotonic(), None
    try:
        for features in _ranges(engine, extraction_id, config, sae, loaded, checkpoint):
            collected = None  # before the next range takes its memory
            collected = Collected(config, len(features), loaded.device, features.first)
            checkpoint.begin(extraction_id, features.first, features.last, collected)
            say_here = _share_of(say, features)
            if config.engine == "ray":
                collected = collect_with_ray(config, features, say_here)
            else:
                _run(config, loaded, features, collected, checkpoint, say_here)
            checkpoint.completed()
            nearest = _nearest(features, say_here)
            say_here("Reading output tokens and storing", 0.97, "")
            _store(engine, extraction_id, loaded, features, config.hook_point, collected, nearest, started)
            checkpoint.stored()
        checkpoint.remove()
    except DBAPIError as error:
        if collected is not None:
            checkpoint.save(collected)
        failed = StoreError(f"The extraction could not be stored. {failure(error).message}",
                            "Free space or mend the database, then start the same extraction again: it goes on from "
                            "what it has.")
        _give_up(engine, extraction_id, failed)
        raise failed from error
    except torch.OutOfMemoryError as error:
        failed = ModelError("The GPU's memory is full.", "Start it again with fewer contexts (--batch-size) or fewer "
                            "features (--features-at-once) at a time: it goes on from its last checkpoint.")
        _give_up(engine, extraction_id, failed)
        raise failed from error
    except BaseException as error:
        _give_up(engine, extraction_id, error)
        raise
    say("Done", 1.0, "")
    return extraction_id


def _ranges(engine: Engine, extraction_id: int, config: ExtractConfig, sae: SAE, loaded: LoadedModel,
            checkpoint: Checkpoint) -> Iterator[FeatureRange]:
    """The ranges of features that are not stored yet. One that was begun before keeps its bounds."""
    with session(engine) as work:
        first = stored_features(work, extraction_id)
    size = features_at_once(config, sae, loaded.device)
    begun = checkpoint.at.last if checkpoint.at.first == first else 0
    features = FeatureRange(sae, first, begun or first + size)
    yield features
    while features.last < sae.d_sae:
        features = features.next(size)
        yield features


def _share_of(say: Progress, features: FeatureRange) -> Progress:
    """Progress of one range as progress of the whole extraction."""
    d_sae = features.whole.d_sae
    if len(features) == d_sae:
        return say
    where = f"features {features.first:,} to {features.last - 1:,} of {d_sae:,}"

    def said(step: str, share: float, detail: str) -> None:
        say(step, (features.first + share * len(features)) / d_sae, f"{where}: {detail}" if detail else where)

    return said


def _nearest(features: FeatureRange, say: Progress) -> tuple[np.ndarray, np.ndarray] | None:
    """Of all features, once they have all been seen: ``nearest_decoders``; None before, and where they are too many."""
    if features.last < features.whole.d_sae or features.whole.d_sae > MOST_FEATURES:
        return None
    return nearest_decoders(features.whole.W_dec,
                            lambda share: say("Comparing decoder directions", 0.96, f"{share:.0%}"))


def _store(engine: Engine, extraction_id: int, loaded: LoadedModel, features: FeatureRange, hook_point: str,
           collected: Collected, nearest: tuple[np.ndarray, np.ndarray] | None, started: float) -> None:
    with session(engine) as work:
        row = work.get_one(Extraction, extraction_id)
        row.tokens, row.contexts = collected.statistics.tokens, collected.contexts
        row.vocabulary_hash, vocabulary = store_vocabulary(work, loaded.tokenizer)
        write_features(work, extraction_id, collected, loaded, features.sae, hook_point, vocabulary)
        if nearest is not None:
            add_nearest(work, extraction_id, *nearest)
        if features.last == features.whole.d_sae:
            row.state, row.finished_at, row.seconds = "done", now(), time.monotonic() - started
        work.add(row)


@torch.inference_mode()
def _run(config: ExtractConfig, loaded: LoadedModel, features: FeatureRange, collected: Collected,
         checkpoint: Checkpoint, say: Progress) -> None:
    started, before, first = time.monotonic(), collected.statistics.tokens, 0
    for whole in read_contexts(config, loaded):
        batch = checkpoint.remaining(whole, first)
        first += len(whole.tokens)
        if batch is None:
            say("Finding the place where it stopped", 0.02, f"{first:,} contexts read again")
            continue
        collect_batch(config, loaded, features, collected, batch, first - len(batch.tokens))
        checkpoint.passed(batch, collected)
        done = collected.statistics.tokens
        rate = (done - before) / (time.monotonic() - started)
        left = max(config.tokens - done, 0) / rate
        say("Running model and SAE", 0.02 + 0.94 * min(done / config.tokens, 1.0),
            f"{done:,} of {config.tokens:,} tokens, {rate:,.0f} tokens/s, {left:,.0f} s left")


def _begin(engine: Engine, config: ExtractConfig, loaded: LoadedModel, sae: SAE, unfinished: int | None) -> int:
    """Id of the extraction's row: that of the interrupted one, where it is still there, or a new one's."""
    # A local folder is shown by its name alone: its place on this machine means nothing to others.
    model, sae_name = (Path(name).name if Path(name).is_dir() else name for name in (config.model, config.sae))
    row = Extraction(
        name=config.name or f"{model}, {config.hook_point}, {sae_name}", model=model, model_revision=loaded.revision,
        hook_point=config.hook_point, sae=sae_name, sae_hash=sae.hash, architecture=sae.architecture, d_in=sae.d_in,
        d_sae=sae.d_sae, corpus=config.corpus, context_length=config.context_length, window=config.window,
        dtype=config.dtype, device=str(loaded.device), config=config.model_dump(mode="json"), author=visitor().name)
    with session(engine) as work:
        found = work.get(Extraction, unfinished) if unfinished is not None else None
        if found is not None and found.state != "done":
            found.state, found.error, found.finished_at, row = "running", "", None, found
        work.add(row)
        work.flush()
        return row.id


def _give_up(engine: Engine, extraction_id: int, error: BaseException) -> None:
    try:
        with session(engine) as work:
            row = work.get_one(Extraction, extraction_id)
            stopped = isinstance(error, Cancelled) or not isinstance(error, Exception)
            row.state = "cancelled" if stopped else "failed"
            row.error = str(error) if isinstance(error, MistudioError) else type(error).__name__
            row.finished_at = now()
            work.add(row)
    except DBAPIError:
        log.exception("the end of extraction %s could not be stored", extraction_id)
