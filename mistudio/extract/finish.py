"""After the pass: logit lens, feature states, top tokens, and writing it all down."""

import hashlib
import json
import zlib
from dataclasses import replace

import numpy as np
import torch
from sqlmodel import Session
from transformers import PreTrainedTokenizerBase

from mistudio.extract.collected import Collected
from mistudio.model.load import LoadedModel
from mistudio.model.readout import to_unembedding
from mistudio.sae.sae import SAE
from mistudio.store.examples import Examples, add_references
from mistudio.store.features import add_features
from mistudio.store.tables import Vocabulary

RARE_BELOW = 10  # active tokens
DENSE_ABOVE = 0.1
LENS_TOKENS = 10
BLOCK = 512  # features that are put in order, described and written at a time
SAME_BEFORE, SAME_AFTER = 8, 3  # windows alike on these tokens around the peak count as one


def store_vocabulary(work: Session, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[str]]:
    """Store the text of every token id once for each tokenizer; returns its hash and the texts."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    packed = json.dumps(texts, ensure_ascii=False).encode("utf-8", "replace")
    hashed = hashlib.sha256(packed).hexdigest()
    if work.get(Vocabulary, hashed) is None:
        work.add(Vocabulary(hash=hashed, tokens=zlib.compress(packed)))
    return hashed, texts


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
         "state": feature_state(int(active[at]), statistics.tokens), "histogram": histogram,
         "top_tokens": top_tokens(examples[at], vocabulary), "promoted": lens[at][0], "suppressed": lens[at][1],
         "starred": False, "note": ""}
        for at, histogram in enumerate(statistics.histograms(block))]
    add_features(work, rows, [found.to_blob() if len(found) else None for found in examples])


def feature_state(active_tokens: int, tokens: int) -> str:
    """live, rare (too few activations to judge), dense (active on over a tenth of the tokens) or dead."""
    if not active_tokens:
        return "dead"
    if active_tokens < RARE_BELOW:
        return "rare"
    return "dense" if active_tokens / tokens > DENSE_ABOVE else "live"


def collect_examples(collected: Collected, block: slice) -> list[Examples]:
    """One ``Examples`` a feature of the block, from the running top-k of every split; near-identical windows
    dropped."""
    parts = [{name: part.cpu().numpy() for name, part in running.ordered(block).items()}
             for pair in zip(collected.top, collected.sample, strict=True) for running in pair]
    keep = np.concatenate([_distinct(part) for part in parts], axis=1)
    tokens, acts, peak, context, document = (np.concatenate([part[name] for part in parts], axis=1)
                                             for name in ("tokens", "acts", "peak", "context", "document"))
    places = [part["filled"].shape[1] for part in parts]
    split, source = np.repeat(np.arange(len(parts)) // 2, places), np.repeat(np.arange(len(parts)) % 2, places)
    document = document.astype(np.uint64)
    return [Examples(tokens[at][mine], acts[at][mine], peak[at][mine], context[at][mine], document[at][mine],
                     split[mine], source[mine]) for at, mine in enumerate(keep)]


def _distinct(part: dict[str, np.ndarray]) -> np.ndarray:
    """``[n, k]`` bool: places that are filled, with tokens around the peak that no place before has."""
    count, k, width = part["tokens"].shape
    if not k:
        return part["filled"]
    at = part["peak"][:, :, None] + np.arange(-SAME_BEFORE, SAME_AFTER)
    near = np.take_along_axis(part["tokens"], at.clip(0, width - 1), axis=2)
    near = np.where((at >= 0) & (at < width), near, -2).astype(np.uint64)
    # One number for what stands there: a sum with random weights, modulo 2**64.
    weights = np.random.default_rng(0).integers(2**64, size=near.shape[2], dtype=np.uint64) | np.uint64(1)
    code = (near * weights).sum(axis=2, dtype=np.uint64)
    order = code.argsort(axis=1, kind="stable")
    code = np.take_along_axis(code, order, axis=1)
    first = np.concatenate([np.ones((count, 1), dtype=bool), code[:, 1:] != code[:, :-1]], axis=1)
    fresh = np.empty_like(first)
    np.put_along_axis(fresh, order, first, axis=1)
    return fresh & part["filled"]


def top_tokens(found: Examples, vocabulary: list[str], most: int = 12) -> list[list]:
    """``[[token, count, mean activation], ...]`` of the peaks of the explain split, by summed activation."""
    shown = found.only(split="explain")
    tokens, place, counts = np.unique(shown.tokens[np.arange(len(shown)), shown.peak], return_inverse=True,
                                      return_counts=True)
    totals = np.bincount(place, weights=shown.strength(), minlength=len(tokens))
    return [[vocabulary[tokens[at]], int(counts[at]), round(float(totals[at] / counts[at]), 3)]
            for at in (-totals).argsort(kind="stable")[:most] if tokens[at] >= 0]
