"""The steps of a pass: load model and SAE, read the corpus, run a batch up to the hook point and take it in."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from mistudio.errors import ModelError, SAEError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import Contexts, contexts, text_documents
from mistudio.model.hook import activations_at
from mistudio.model.load import LoadedModel, load_model
from mistudio.sae.load import load_sae
from mistudio.sae.sae import SAE

log = logging.getLogger(__name__)
Progress = Callable[[str, float, str], None]


def load_both(config: ExtractConfig) -> tuple[LoadedModel, SAE, ExtractConfig]:
    """Model and SAE on their device, and the config with what the SAE's files add to it.

    Raises:
        MistudioError: one of them cannot be loaded, they do not fit, or nothing says where the SAE was trained.
    """
    loaded = load_model(config.model, device=config.device, dtype=config.dtype)
    sae = load_sae(config.sae).to(loaded.device)
    _check_fit(loaded, sae, config)
    config = config.model_copy(update={
        "hook_point": config.hook_point or sae.hook_point or "",
        "context_length": config.context_length or sae.context_length or 128})
    if not config.hook_point:
        raise SAEError("The SAE's files do not say where it was trained.", "Name a hook point, for example layers.9.")
    return loaded, sae, config


def collect_batch(config: ExtractConfig, loaded: LoadedModel, sae: SAE, collected: Collected, batch: Contexts,
                  first: int) -> None:
    """Run a batch and take it in; in halves where the GPU's memory does not hold it.

    Args:
        first: number of the batch's first context in the corpus.

    Raises:
        ModelError: the activations are not finite, or the memory does not even hold one context.
    """
    half = len(batch.tokens) // 2
    try:
        acts = encode_batch(config.hook_point, loaded, sae, batch)
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
        collect_batch(config, loaded, sae, collected, rows, first + (part.start or 0))


def encode_batch(hook_point: str, loaded: LoadedModel, sae: SAE, batch: Contexts) -> torch.Tensor:
    """Feature activations ``[batch, pos, d_sae]`` float32; zero on padding and BOS."""
    mask = torch.from_numpy(batch.mask)
    attend = mask.clone()
    attend[:, 0] = True
    resid = activations_at(loaded, hook_point, torch.from_numpy(batch.tokens), attend)
    if not resid.isfinite().all():
        raise ModelError(f"The model's activations at {hook_point} are not finite (NaN or infinity).",
                         "Use --dtype bfloat16 or float32, and check that the model's weights are whole.")
    return sae.encode(resid) * mask.to(resid.device)[:, :, None]


def read_contexts(config: ExtractConfig, loaded: LoadedModel, sae: SAE) -> Iterator[Contexts]:
    """The corpus as batches of token rows, as the config and the SAE want them."""
    return contexts(_documents(config), loaded.tokenizer, length=config.context_length, max_tokens=config.tokens,
                    prepend_bos=sae.prepend_bos, batch_size=config.batch_size)


def _documents(config: ExtractConfig):
    if config.corpus == "demo":
        from mistudio.demo.corpus import demo_documents

        return demo_documents()
    return text_documents(Path(config.corpus))


def _check_fit(loaded: LoadedModel, sae: SAE, config: ExtractConfig) -> None:
    if sae.d_in != loaded.d_model:
        raise SAEError(
            f"The SAE does not fit the model: its d_in is {sae.d_in}, the residual stream of {config.model!r} has "
            f"{loaded.d_model}.", "Use the SAE with the model it was trained on.")
