"""An extraction in which every text is hostile: tokens, names, labels, replies, reasons, notes."""

import json
import zlib
from itertools import cycle

import numpy as np
from sqlalchemy import Engine
from sqlmodel import select

from mistudio.store import Extraction, Feature, Label, Run, Score, session
from mistudio.store.labels import add_label
from mistudio.store.nearest import add_nearest
from mistudio.store.runs import create_run
from mistudio.store.tables import Vocabulary
from tests.hostile.strings import CONTROLS, FORMULAS, MARKDOWN, PROMPTS, SCRIPTS
from tests.toy import VOCABULARY, add_toy_extraction

TEXTS = [text for text in (*SCRIPTS, *MARKDOWN, *CONTROLS, *FORMULAS, *PROMPTS)]
# What a column of a database can hold.
STORABLE = [text.replace("\0", "\ufffd") for text in TEXTS if text.strip()]


def add_hostile_extraction(engine: Engine, features: int = 48) -> tuple[int, list[int]]:
    """Returns the extraction's id, and those of a labeling run that is done and one that waits."""
    extraction_id = add_toy_extraction(engine, features=features)
    texts = cycle(STORABLE)
    tokens = [TEXTS[at % len(TEXTS)] for at in range(len(VOCABULARY))]
    with session(engine) as work:
        if work.get(Vocabulary, "hostile") is None:
            work.add(Vocabulary(hash="hostile", tokens=zlib.compress(json.dumps(tokens).encode())))
        found = work.get_one(Extraction, extraction_id)
        found.vocabulary_hash, found.name = "hostile", f"<img src=x onerror=window.pwned=1> {MARKDOWN[0]} \u202e"
        found.model, found.hook_point, found.sae, found.corpus = SCRIPTS[0], MARKDOWN[1], SCRIPTS[5], MARKDOWN[6]
        config = {"provider": "openai", "model": f"{SCRIPTS[1]} {MARKDOWN[0]} :red[x]", "base_url": "http://127.0.0.1:9",
                  "hint": f"{MARKDOWN[1]} {SCRIPTS[1]}"}
        rows = list(work.exec(select(Feature).where(Feature.extraction_id == extraction_id).order_by(Feature.index)))
        runs = [_run(work, extraction_id, config, rows, state) for state in ("done", "failed")]
        for number, feature in enumerate(rows):
            feature.top_tokens = [[TEXTS[(number * 5 + at) % len(TEXTS)], 9 - at, 1.0] for at in range(6)]
            feature.promoted = [[TEXTS[(number + at) % len(TEXTS)], 1.5] for at in range(6)]
            feature.suppressed, feature.note = [[SCRIPTS[0], -1.0]], next(texts)
            work.add(feature)
            if number % 8 == 7:
                continue
            for _older in range(2):
                add_label(work, _label(feature.id, next(texts), texts, runs[0].id, number))
            work.flush()
            work.add(_score(feature.label_id, runs[0].id, texts, ("detection", "fuzzing", "embedding")[number % 3]))
        ids = [run.id for run in runs]
    with session(engine) as work:
        index = (np.arange(features)[:, None] + np.arange(1, 9)) % features
        add_nearest(work, extraction_id, index, np.full(index.shape, 0.5, dtype=np.float16))
    return extraction_id, ids


def _run(work, extraction_id: int, config: dict, rows: list[Feature], state: str) -> Run:
    """Every third item is done, failed or skipped."""
    texts = cycle(STORABLE[::-1])
    items = [{"feature_id": feature.id, "state": ("done", "failed", "skipped")[at % 3], "reason_kind": next(texts)[:40],
              "reason": next(texts), "reply": next(texts)} for at, feature in enumerate(rows)]
    run = create_run(work, extraction_id, config, items)
    run.state, run.message = state, f"{SCRIPTS[0]} {MARKDOWN[1]}\n# heading\n===" if state == "failed" else ""
    work.add(run)
    work.flush()
    return run


def _label(feature_id: int, text: str, texts, run_id: int, number: int) -> Label:
    human = number % 5 == 1
    return Label(feature_id=feature_id, text=text, explanation=f"{next(texts)} {next(texts)}", kind=next(texts)[:40],
                 origin="human" if human else "llm", provider="openai", model=next(texts), author=next(texts),
                 verdict="approved" if human or number % 5 == 2 else "", verdict_by=next(texts), confidence=0.5,
                 prompt=next(texts), prompt_hash=next(texts)[:16], reply=next(texts), run_id=run_id,
                 evidence={"strategy": next(texts), "seed": next(texts), "examples": ["top:1"], "note": next(texts),
                           "hint": next(texts)})


def _score(label_id: int, run_id: int, texts, method: str) -> Score:
    windows = [{"id": "top:1", "tokens": [next(texts) for _token in range(5)], "strengths": [0, 3, 10, 0, 0],
                "strength": 10.0, "said": said, "marks": [1]} for said in (True, False)]
    return Score(label_id=label_id, run_id=run_id, method=method, judge=next(texts), value=0.75, low=0.6, high=0.9,
                 weighted=0.8, precision=0.7, recall=0.8, n=20, misjudged=windows)
