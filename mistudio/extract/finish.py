"""After the pass: logit lens, examples in order, and writing it all down."""

from dataclasses import replace

import numpy as np
import torch
from sqlmodel import Session
from transformers import PreTrainedTokenizerBase

from mistudio.extract.collected import Collected
from mistudio.extract.describe import distinct, feature_state, top_tokens
from mistudio.model.load import LoadedModel
from mistudio.model.readout import to_unembedding
from mistudio.sae.sae import SAE
from mistudio.store.examples import Examples, add_references, add_vocabulary
from mistudio.store.features import add_features

LENS_TOKENS = 10
BLOCK = 512  # features that are put in order, described and written at a time


def store_vocabulary(work: Session, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[str]]:
    """Store the text of every token id once for each tokenizer; returns its hash and the texts."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    return add_vocabulary(work, texts), texts


@torch.inference_mode()
def logit_lens(loaded: LoadedModel, W_dec: torch.Tensor, vocabulary: list[str],
               hook_point: str) -> list[tuple[list, list]]:
    """For each feature its promoted and suppressed output tokens, ``[[token, weight], ...]``.

    The decoder direction (``W_dec [n, d_in]``) through the final norm's gain and the unembedding, centred over the
    vocabulary (nostalgebraist 2020, "interpreting GPT: the logit lens"). Empty when the model has no unembedding, or
    when the hook point is a module whose part in the residual stream is not known.
    """
    head = loaded.model.get_output_embeddings()
    rows = to_unembedding(loaded, hook_point, W_dec) if head is not None else None
    if rows is None:
        return [([], [])] * len(W_dec)
    logits = (rows.to(head.weight.dtype) @ head.weight.T)[:, :len(vocabulary)].float()
    logits -= logits.mean(1, keepdim=True)
    result = []
    for values, ids in zip(*(part.tolist() for part in _ends(logits)), strict=True):
        pairs = [[vocabulary[token], round(value, 3)] for value, token in zip(values, ids, strict=True)]
        result.append((pairs[:LENS_TOKENS], pairs[LENS_TOKENS:]))
    return result


def _ends(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    high, low = torch.topk(logits, LENS_TOKENS), torch.topk(logits, LENS_TOKENS, largest=False)
    return torch.cat([high.values, low.values], 1), torch.cat([high.indices, low.indices], 1)


def write_features(work: Session, extraction_id: int, collected: Collected, loaded: LoadedModel, sae: SAE,
                   hook_point: str, vocabulary: list[str]) -> None:
    """Write features, their examples and the reference windows in one transaction.

    Args:
        sae: of the features that were collected, and no others.
    """
    for start in range(0, sae.d_sae, BLOCK):
        block = slice(start, start + BLOCK)
        lens = logit_lens(loaded, sae.W_dec[block], vocabulary, hook_point)
        _write_block(work, extraction_id, collected, block, lens, vocabulary)
    add_references(work, extraction_id, [replace(window, feature=window.feature + collected.first)
                                         for window in collected.references.windows()])


def _write_block(work: Session, extraction_id: int, collected: Collected, block: slice, lens: list,
                 vocabulary: list[str]) -> None:
    statistics = collected.statistics
    active, maximum, total = (part[block].cpu().numpy() for part in (
        statistics.active, statistics.maximum, statistics.total))
    examples = collect_examples(collected, block)
    rows = [
        {"extraction_id": extraction_id, "index": collected.first + block.start + at,
         "density": active[at] / statistics.tokens, "active_tokens": int(active[at]),
         "max_activation": float(maximum[at]), "mean_activation": float(total[at] / max(active[at], 1)),
         "state": feature_state(int(active[at]), active[at] / statistics.tokens), "histogram": histogram,
         "top_tokens": top_tokens(examples[at], vocabulary), "promoted": lens[at][0], "suppressed": lens[at][1],
         "starred": False, "note": ""}
        for at, histogram in enumerate(statistics.histograms(block))]
    add_features(work, rows, [found.to_blob() if len(found) else None for found in examples])


def collect_examples(collected: Collected, block: slice) -> list[Examples]:
    """One ``Examples`` a feature of the block, from the running top-k of every split; near-identical windows
    dropped."""
    parts = [{name: part.cpu().numpy() for name, part in running.ordered(block).items()}
             for pair in zip(collected.top, collected.sample, strict=True) for running in pair]
    keep = np.concatenate([distinct(part["tokens"], part["peak"], part["filled"]) for part in parts], axis=1)
    tokens, acts, peak, context, document = (np.concatenate([part[name] for part in parts], axis=1)
                                             for name in ("tokens", "acts", "peak", "context", "document"))
    places = [part["filled"].shape[1] for part in parts]
    split, source = np.repeat(np.arange(len(parts)) // 2, places), np.repeat(np.arange(len(parts)) % 2, places)
    document = document.astype(np.uint64)
    return [Examples(tokens[at][mine], acts[at][mine], peak[at][mine], context[at][mine], document[at][mine],
                     split[mine], source[mine]) for at, mine in enumerate(keep)]
