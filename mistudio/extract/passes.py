"""The steps of a pass: load model and SAE, read the corpus, run a batch up to the hook point and take it in."""

import logging
from collections.abc import Callable, Iterator

import torch

from mistudio.errors import ModelError, SAEError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import Contexts, contexts
from mistudio.extract.corpus.source import corpus_documents
from mistudio.extract.ranges import FeatureRange
from mistudio.memory import give_back
from mistudio.model.families import drop_blocks_behind, resolve
from mistudio.model.hook import activations_at, width_at
from mistudio.model.load import LoadedModel, load_model
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE

log = logging.getLogger(__name__)
Progress = Callable[[str, float, str], None]


def load_both(config: ExtractConfig) -> tuple[LoadedModel, SAE, ExtractConfig]:
    """Model and SAE on their device, and the config with what the SAE's files and the device add to it.

    Raises:
        MistudioError: one of them cannot be loaded, they do not fit, or nothing says where the SAE was trained.
    """
    try:
        loaded = load_model(config.model, device=config.device, dtype=config.dtype)
        sae = load_sae(config.sae).to(loaded.device)
        config = _completed(config, loaded, sae)
    except torch.OutOfMemoryError as error:
        raise ModelError("The GPU's memory does not hold model and SAE.",
                         "Use another GPU, another dtype, or MISTUDIO_DEVICE=cpu.") from error
    give_back()
    return loaded, sae, config


def collect_batch(config: ExtractConfig, loaded: LoadedModel, features: FeatureRange, collected: Collected,
                  batch: Contexts, first: int) -> None:
    """Run a batch and take it in; in halves where the GPU's memory does not hold it.

    Args:
        first: number of the batch's first context in the corpus.

    Raises:
        ModelError: the activations are not finite, or the memory does not even hold one context.
    """
    half = len(batch.tokens) // 2
    try:
        resid = read_activations(config.hook_point, loaded, batch, center=config.center,
                                 fold_value_biases=config.fold_value_biases)
        acts = features.encode(resid, first).mul_(is_counted(batch, resid))
    except torch.OutOfMemoryError as error:
        if not half:
            raise ModelError("The GPU's memory does not hold even one context.",
                             "Use a shorter context, another dtype, or MISTUDIO_DEVICE=cpu.") from error
        acts = None
    if acts is not None:
        collected.add(batch, acts, first)
        return
    torch.cuda.empty_cache()
    log.warning("the GPU's memory is full: going on with %s contexts at a time", half)
    for part in (slice(0, half), slice(half, None)):
        rows = Contexts(*(piece[part] for piece in batch))
        collect_batch(config, loaded, features, collected, rows, first + (part.start or 0))


def read_activations(hook_point: str, loaded: LoadedModel, batch: Contexts, *, center: bool = False,
                     fold_value_biases: bool = False) -> torch.Tensor:
    """The model's activations ``[batch, pos, d_in]`` at the hook point.

    Raises:
        ModelError: they are not finite.
    """
    resid = activations_at(loaded, hook_point, torch.from_numpy(batch.tokens), torch.from_numpy(batch.attend),
                           center=center, fold_value_biases=fold_value_biases)
    if not resid.isfinite().all():
        raise ModelError(f"The model's activations at {hook_point} are not finite (NaN or infinity).",
                         "Use --dtype bfloat16 or float32, and check that the model's weights are whole.")
    return resid


def is_counted(batch: Contexts, like: torch.Tensor) -> torch.Tensor:
    """``[batch, pos, 1]`` bool on the device of ``like``: false on padding and on BOS and EOS."""
    return torch.from_numpy(batch.mask).to(like.device)[:, :, None]


def read_contexts(config: ExtractConfig, loaded: LoadedModel) -> Iterator[Contexts]:
    """The corpus as batches of token rows, as the completed config wants them."""
    return contexts(corpus_documents(config), loaded.tokenizer, length=config.context_length, max_tokens=config.tokens,
                    prepend_bos=config.prepend_bos, batch_size=config.batch_size, pack=config.pack)


def _completed(config: ExtractConfig, loaded: LoadedModel, sae: SAE) -> ExtractConfig:
    """The config with what the SAE's files and the device add to it, and the hook point by our name.

    Raises:
        MistudioError: nothing says where the SAE was trained, or it does not fit there.
    """
    hook_point = config.hook_point or sae.hook_point
    if not hook_point:
        raise SAEError("The SAE's files do not say where it was trained.", "Name a hook point, for example layers.9.")
    point = resolve(loaded.model, hook_point)[0]
    hook_point = str(point)
    width = width_at(loaded, hook_point)
    if sae.d_in != width:
        raise SAEError(
            f"The SAE does not fit the model: its d_in is {sae.d_in}, hook point {hook_point} of {config.model!r} has "
            f"{width}.", "Use the SAE with the model and at the hook point it was trained on.")

    drop_blocks_behind(loaded.model, point)

    def first(wanted, trained):
        return trained if wanted is None else wanted

    return config.model_copy(update={
        "hook_point": hook_point, "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "center": first(config.center, sae.center),
        "fold_value_biases": first(config.fold_value_biases, sae.fold_value_biases),
        "prepend_bos": first(config.prepend_bos, sae.prepend_bos),
        "context_length": first(config.context_length, sae.context_length or 128)})
