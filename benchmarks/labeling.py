"""Labels a second against a local server of fixed latency, beside the ideal, and memory over a long run.

    python -m benchmarks.labeling                     # 1,600 features: ten seconds of the ideal
    python -m benchmarks.labeling --features 10000    # is memory flat?
    python -m benchmarks.labeling --profile

The server is a process of its own. The features are a toy's (8 tokens a window), so reading and prompt are cheaper than
with real ones; silent windows are left out, for they need an encoder once.
"""

import cProfile
import multiprocessing
import pstats
import resource
import tempfile
import time
from typing import Annotated

import typer

from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.label.config import LabelConfig
from mistudio.store import open_store, runs, session
from mistudio.store.features import FeatureFilter
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction

ANSWER = '{"label": "a fixed answer", "explanation": "Always the same.", "kind": "other", "confidence": 0.5}'
PAGE = resource.getpagesize()


def serve(latency: float, address) -> None:
    with OpenAIServer(latency=latency) as server:
        server.answer = lambda _messages: ANSWER
        address.send(server.base_url)
        address.recv()


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def main(
    features: Annotated[int, typer.Option(help="How many to label.")] = 1600,
    concurrency: Annotated[int, typer.Option(help="Calls at a time.")] = 32,
    latency: Annotated[float, typer.Option(help="Seconds before each answer.")] = 0.2,
    profile: Annotated[bool, typer.Option(help="List what the loop's own thread spends its time on.")] = False,
):
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(latency, there), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as scratch:
        engine = open_store(f"sqlite:///{scratch}/labels.db")
        toy = add_toy_extraction(engine, features=features + 1)
        config = LabelConfig(provider="openai", model=MODEL, base_url=here.recv(), concurrency=concurrency, negatives=0)
        run_id = start_run(engine, toy, config, FeatureFilter())
        memory, marks = {}, {features // 10: "10%", features // 2: "50%", features: "100%"}

        def watch(progress) -> None:
            if progress.counts["done"] in marks:
                memory[marks[progress.counts["done"]]] = resident()

        profiler, before, started = cProfile.Profile(), time.process_time(), time.monotonic()
        if profile:
            profiler.enable()
        work_run(engine, run_id, on_progress=watch)
        profiler.disable()
        seconds, cpu = time.monotonic() - started, time.process_time() - before
        with session(engine) as work:
            done = runs.run_counts(work, run_id)["done"]
    here.send("end")
    print(f"{done:,} labels in {seconds:.1f} s: {done / seconds:.1f} a second, "
          f"{done / seconds * latency / concurrency:.0%} of the ideal {concurrency / latency:.0f}; "
          f"{1000 * cpu / done:.1f} ms of processor a label")
    print("resident memory", ", ".join(f"{size / 1e6:,.0f} MB at {share}" for share, size in memory.items()))
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    typer.run(main)
