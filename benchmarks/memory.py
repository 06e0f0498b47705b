"""Peak memory of an extraction as the corpus grows, beside what a dry run predicts.

    python -m benchmarks.memory --tokens 100000 --tokens 2000000

A tiny random model, so that the corpus and not the model decides; each size runs in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.tiny import TEXT, tiny_model, tiny_sae

EXTRACT = """
import json, resource, sys
from mistudio.extract.config import ExtractConfig
from mistudio.extract.pipeline import extract
from mistudio.extract.predict import predict
from mistudio.store import open_store

config = ExtractConfig.model_validate_json(sys.argv[2])
if sys.argv[1] == "predict":
    print(json.dumps({"memory": predict(config, lambda *_step: None).memory}))
else:
    extract(open_store(sys.argv[1]), config)
    print(json.dumps({"memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def main(
    tokens: Annotated[list[int] | None, typer.Option(help="Sizes of the corpus.")] = None,
    d_sae: Annotated[int, typer.Option(help="Features.")] = 4096,
):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model, sae = tiny_model(folder / "model"), tiny_sae(folder / "sae", d_sae=d_sae)
        sizes = tokens or [100_000, 2_000_000]
        with (folder / "corpus.jsonl").open("w") as corpus:
            for number in range(max(sizes) // 60):
                corpus.write(json.dumps({"text": f"Document {number}. {TEXT[number % 97:]} {number * 37}"}) + "\n")
        environment = os.environ | {"MISTUDIO_DATA_DIR": scratch}

        def measured(what: str, size: int) -> int:
            config = {"model": str(model), "sae": str(sae), "corpus": str(folder / "corpus.jsonl"), "tokens": size,
                      "device": "cpu", "batch_size": 32}
            done = subprocess.run([sys.executable, "-c", EXTRACT, what, json.dumps(config)], env=environment,
                                  check=True, stdout=subprocess.PIPE, text=True)
            return json.loads(done.stdout)["memory"]

        peaks = {size: measured(f"sqlite:///{folder}/{size}.db", size) for size in sizes}
        print(f"d_sae {d_sae:,}; predicted by a dry run {measured('predict', sizes[0]) / 1e6:,.0f} MB")
        for size, peak in peaks.items():
            print(f"{size:12,} tokens {peak / 1e6:10,.0f} MB  {peak / peaks[sizes[0]]:.3f}")


if __name__ == "__main__":
    typer.run(main)
