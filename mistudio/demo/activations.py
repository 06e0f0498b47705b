"""Run the demo's model over its corpus once and keep the activations on disk, so that SAEs can be tried on them."""

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mistudio.demo.corpus import demo_documents
from mistudio.demo.fetch import demo_model
from mistudio.extract.corpus import contexts
from mistudio.model.hook import activations_at
from mistudio.model.load import load_model

HOOK_POINT = "layers.9"
CONTEXT_LENGTH = 128


def cache_activations(folder: Path, tokens: int) -> Path:
    """Write ``acts.bin`` ``[tokens, d_in]`` float16, ``ids.bin`` int32, ``context.bin`` int32 and ``document.bin``
    uint64, one entry a counted token. An existing cache of the same size is kept.
    """
    done = folder / "done.json"
    if done.exists() and json.loads(done.read_text())["wanted"] == tokens:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_model(str(demo_model(print)))
    started, counted, context = time.monotonic(), 0, 0
    with (open(folder / "acts.bin", "wb") as acts_file, open(folder / "ids.bin", "wb") as ids_file,
          open(folder / "context.bin", "wb") as context_file, open(folder / "document.bin", "wb") as document_file):
        for batch in contexts(demo_documents(), loaded.tokenizer, length=CONTEXT_LENGTH, max_tokens=tokens,
                              batch_size=32):
            mask = torch.from_numpy(batch.mask)
            attend = torch.from_numpy(batch.attend)
            acts = activations_at(loaded, HOOK_POINT, torch.from_numpy(batch.tokens), attend)
            row, _position = batch.mask.nonzero()
            acts_file.write(acts[mask.to(acts.device)].half().cpu().numpy().tobytes())
            ids_file.write(batch.tokens[batch.mask].astype(np.int32).tobytes())
            context_file.write((context + row).astype(np.int32).tobytes())
            document_file.write(batch.document[batch.mask].tobytes())
            context += len(batch.tokens)
            counted += len(row)
            if (context // 32) % 50 == 0:
                print(f"{counted:,} tokens, {counted / (time.monotonic() - started):,.0f} tokens/s", flush=True)
    done.write_text(json.dumps({"wanted": tokens, "tokens": counted, "contexts": context}))
    return folder


class Cache(NamedTuple):
    """Cached activations: acts ``[tokens, d_in]`` float16, ids, context and document ``[tokens]``."""

    acts: torch.Tensor
    ids: np.ndarray
    context: np.ndarray
    document: np.ndarray


def load_cache(folder: Path) -> Cache:
    """Map a folder that ``cache_activations`` wrote into memory."""
    ids = np.fromfile(folder / "ids.bin", dtype=np.int32)
    acts = np.memmap(folder / "acts.bin", dtype=np.float16, mode="c").reshape(len(ids), -1)
    return Cache(torch.from_numpy(acts), ids, np.fromfile(folder / "context.bin", dtype=np.int32),
                 np.fromfile(folder / "document.bin", dtype=np.uint64))
