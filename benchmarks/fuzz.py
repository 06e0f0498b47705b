"""Fuzz of everything that reads what others wrote: SAE files, replies, imports, corpora, the search box, addresses.

    python -m benchmarks.fuzz                                   # 110,000 cases, on SQLite
    python -m benchmarks.fuzz --only "search box" --cases 2000 --database postgresql://...
    python -m benchmarks.fuzz --only SAE --cases 1 --seed 17    # the same cases again

Cases are drawn by Hypothesis and made by ``tests.hostile``: real files with broken bytes, values, headers and tensors.
Only our own errors may come of them; any other is counted with its type, place and case, and the exit status is 1. Peak
memory is that of the process so far; a limit on its address space turns a bomb into an error that is counted.
"""

import resource
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer

from mistudio.store import open_store
from tests.hostile.targets import fuzz, readers, stored
from tests.toy import add_toy_extraction

CASES = {"reply": 40_000, "batch line": 15_000, "label file": 20_000, "corpus file": 8_000, "SAE": 8_000,
         "label import": 6_000, "features import": 4_000, "Neuronpedia import": 2_000, "search box": 4_000,
         "address": 5_000}


def main(only: Annotated[list[str] | None, typer.Option(help="Names of targets; all if not given.")] = None,
         cases: Annotated[int | None, typer.Option(help="Cases of each.")] = None,
         seed: Annotated[int, typer.Option(help="Of the cases.")] = 1,
         database: Annotated[str, typer.Option(help="URL of an empty database; SQLite if not given.")] = "",
         gigabytes: Annotated[int, typer.Option(help="Limit of the address space beyond what is used.")] = 4) -> None:
    """Print a line a target: cases, how they ended, seconds and peak memory."""
    warnings.simplefilter("ignore")
    total, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(database or f"sqlite:///{folder}/fuzz.db")
        extraction = add_toy_extraction(engine)
        targets = readers(Path(folder)) | stored(engine, extraction, Path(folder))
        _limit(gigabytes)
        print(f"{'target':20}{'cases':>8}{'seconds':>9}{'peak MB':>9}  how they ended")
        for name in only or CASES:
            started = time.monotonic()
            counts = fuzz(targets[name], cases or CASES[name], seed, _place)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            ended = ", ".join(f"{count:,} {how}" for how, count in counts.most_common())
            print(f"{name:20}{counts.total():8,}{time.monotonic() - started:9.0f}{peak:9.0f}  {ended}", flush=True)
            total += counts.total()
            wrong += sum(count for how, count in counts.items() if " at " in how)
        engine.dispose()
    print(f"{total:,} cases, {wrong:,} with another error than our own")
    raise typer.Exit(1 if wrong else 0)


def _place(error: Exception) -> str:
    """An error that is none of ours: its type and the last place in our code."""
    ours = [step for step in traceback.extract_tb(error.__traceback__) if "/mistudio/" in step.filename]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the test"
    return f"{type(error).__name__} at {place}"


def _limit(gigabytes: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (gigabytes << 30), resource.RLIM_INFINITY))


if __name__ == "__main__":
    typer.run(main)
