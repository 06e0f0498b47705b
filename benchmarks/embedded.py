"""Labels a second of the embedded provider, on a database's own features or on the tests' small extraction.

    python -m benchmarks.embedded                       # the tests' planted features
    python -m benchmarks.embedded --db URL --labels 50  # live features of the newest extraction
"""

import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
import torch
import typer
from sqlmodel import select

from mistudio.errors import MistudioError
from mistudio.label.ask import ask
from mistudio.label.config import LabelConfig
from mistudio.label.one import LABEL, evidence_for, template_of
from mistudio.label.prompts import render
from mistudio.label.providers import make_provider
from mistudio.store import Extraction, Feature, open_store, session
from tests.toy import add_toy_extraction


def main(
    db: Annotated[str, typer.Option(help="SQLAlchemy URL of a database; the tests' small one if unset.")] = "",
    labels: Annotated[int, typer.Option(help="How many features to label; nothing is stored.")] = 11,
):
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(db or f"sqlite:///{folder}/toy.db")
        if not db:
            add_toy_extraction(engine)
        with session(engine) as work:
            newest = work.exec(select(Extraction.id).order_by(Extraction.id.desc())).first()
            features = work.exec(select(Feature.id).where(Feature.extraction_id == newest, Feature.state == "live")
                                 .order_by(Feature.index)).all()
        chosen = [features[place] for place in np.unique(np.linspace(0, len(features) - 1, labels).astype(int))]
        config = LabelConfig(provider="embedded")
        provider = make_provider(config)
        prompts = [render(evidence_for(engine, feature, config), template_of(config)) for feature in chosen]
        started = time.monotonic()
        provider.complete(prompts[0].messages, {})
        first = time.monotonic() - started
        started = time.monotonic()
        with ThreadPoolExecutor(provider.default_concurrency) as pool:  # as a run asks
            asked = list(pool.map(lambda prompt: ask(provider, prompt, LABEL), prompts))
        took = time.monotonic() - started
        done = sum(each.answer is not None for each in asked)
        tokens = sum(each.prompt_tokens or 0 for each in asked)
        engine.dispose()
    device = "cuda" if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    rows = {"device": device, "labels": done, "failed": len(asked) - done,
            "prompt tokens, mean": f"{tokens / len(chosen):.0f}",
            "first label, with loading": f"{first:.1f} s", "labels a second": f"{done / took:.2f}",
            "peak memory": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"}
    for name, value in rows.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MistudioError as error:
        raise SystemExit(str(error)) from error
