"""After the pass: logit lens, feature states, top tokens, and writing it all down."""

import hashlib
import json
import zlib
from collections import defaultdict
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
    parts = []
    for split, pair in enumerate(zip(collected.top, collected.sample, strict=True)):
        for source, running in enumerate(pair):
            parts.append((split, source, {name: part.cpu().numpy() for name, part in running.ordered(block).items()}))
    return [_examples_of(feature, parts) for feature in range(len(parts[0][2]["filled"]))]


def _examples_of(feature: int, parts: list) -> Examples:
    gathered: dict[str, list[np.ndarray]] = defaultdict(list)
    for split, source, part in parts:
        keep = np.flatnonzero(part["filled"][feature])
        for name in ("tokens", "acts", "peak", "context", "document"):
            gathered[name].append(part[name][feature][keep])
        gathered["split"].append(np.full(len(keep), split))
        gathered["source"].append(np.full(len(keep), source))
    whole = {name: np.concatenate(pieces) for name, pieces in gathered.items()}
    found = Examples(whole["tokens"], whole["acts"], whole["peak"], whole["context"],
                     whole["document"].astype(np.uint64), whole["split"], whole["source"])
    return found.take(_distinct(found))


def _distinct(found: Examples) -> np.ndarray:
    """Rows whose tokens around the peak were not seen before in the same split and source."""
    seen: set[tuple] = set()
    keep = []
    for row in range(len(found)):
        start = max(int(found.peak[row]) - SAME_BEFORE, 0)
        near = found.tokens[row, start:int(found.peak[row]) + SAME_AFTER].tobytes()
        key = (int(found.split[row]), int(found.source[row]), near)
        if key not in seen:
            seen.add(key)
            keep.append(row)
    return np.array(keep, dtype=np.int64)


def top_tokens(found: Examples, vocabulary: list[str], most: int = 12) -> list[list]:
    """``[[token, count, mean activation], ...]`` of the peaks of the explain split, by summed activation."""
    shown = found.only(split="explain")
    totals: dict[int, list[float]] = defaultdict(lambda: [0, 0.0])
    for token, strength in zip(shown.tokens[np.arange(len(shown)), shown.peak], shown.strength(), strict=True):
        totals[int(token)][0] += 1
        totals[int(token)][1] += float(strength)
    order = sorted(totals.items(), key=lambda item: -item[1][1])[:most]
    return [[vocabulary[token], int(count), round(total / count, 3)] for token, (count, total) in order if token >= 0]
