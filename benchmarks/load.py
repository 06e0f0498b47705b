"""Many people at once on a large database while a run labels it: how long each waits, and whether anything is lost.

    python -m benchmarks.million folder/many.db --features 100000 --examples-of-one-in 1
    python -m benchmarks.load folder/many.db                                # 50 people for 5 minutes
    python -m benchmarks.load folder/many.db --people 10 --seconds 30 --think 5

The app's real server, and a server of the OpenAI protocol that answers slowly, are processes of their own. People are
``tests.tab.Tab``s: they speak Streamlit's protocol, follow links, filter, page, open, search, approve, edit, star and
note (``benchmarks.people``), and between two actions think for 0.5 to 1.5 times ``--think`` seconds. Someone starts the
run on the Label page, where some watch it. A wait is from the click until the whole page has arrived; what a browser
then draws is not in it. Every write is looked for in the database afterwards. The file is copied first.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Annotated

import psutil
import typer
from sqlalchemy import Engine
from sqlmodel import col, select

from benchmarks.pages import copied
from benchmarks.people import Crowd, warm_up
from mistudio.label.providers import CONCURRENCY
from mistudio.store import Feature, Label, RunItem, open_store, runs, session
from mistudio.store.extractions import get_extraction
from tests.browser import app_server
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.tab import Tab, alone

EACH = 5.0  # seconds between two looks at memory
PARTS = 8  # of the time, whose memory is compared


def serve(latency: float, pipe) -> None:
    """Answer each prompt with a label of its own number, and say how many there were when asked."""
    numbers = count()
    with OpenAIServer(latency=latency) as server:
        server.answer = lambda _messages: json.dumps({
            "label": f"steady label {next(numbers)}", "explanation": "As asked.", "kind": "other", "confidence": 1})
        pipe.send(server.base_url)
        while pipe.recv():
            pipe.send(len(server.requests))


@dataclass
class Outcome:
    """What came of it: waits in seconds by what was done, errors that people saw, clicks that did nothing, writes that
    are not in the database although the page showed them as done, and so for the run's labels; resident memory in MB
    over the time, and cores used by process."""

    waits: dict[str, list[float]]
    refreshed: list[float]
    reloads: int
    errors: list[str]
    ignored: list[str]
    writes: int
    lost: list[str]
    asked: int
    labels: int
    seconds: float
    memory: list[float] = field(default_factory=list)
    share: dict[str, float] = field(default_factory=dict)

    def memory_of_parts(self) -> list[float]:
        """Its mean in each of ``PARTS`` parts of the time: where it no longer grows, the last are alike."""
        ends = [round(part * len(self.memory) / PARTS) for part in range(PARTS + 1)]
        return [statistics.mean(self.memory[start:end]) for start, end in pairwise(ends)]


def load(url: str, people: int, seconds: float, think: float, rate: float, least: int = 0) -> Outcome:
    """Let people work on a database (which is changed) while a run labels ``rate`` features a second; for so long, and
    until they have made ``least`` writes."""
    here, there = multiprocessing.Pipe()
    labeler = multiprocessing.get_context("spawn").Process(
        target=serve, args=(CONCURRENCY["openai"] / rate, there), daemon=True)
    labeler.start()
    environment = {"OPENAI_BASE_URL": here.recv(), "OPENAI_API_KEY": "any"}
    engine = open_store(url)
    with session(engine) as work:
        features = get_extraction(work).d_sae
    with app_server(url, environment) as address:
        server = next(child for child in psutil.Process().children() if "streamlit" in child.cmdline())
        outcome = alone(_drive(engine, Crowd(address, features, people, seconds, think, least), {
            "server": server, "labeler's server": psutil.Process(labeler.pid), "people": psutil.Process()}))
    engine.dispose()
    here.send(True)
    outcome.asked = here.recv()
    here.send(False)
    labeler.join()
    return outcome


async def _drive(engine: Engine, crowd: Crowd, processes: dict[str, psutil.Process]) -> Outcome:
    await warm_up(crowd.address)
    run_id = await _start_run(crowd.address)
    memory: list[float] = []
    watch = asyncio.create_task(_watch(processes["server"], memory, min(EACH, crowd.seconds / 20)))
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    started = time.monotonic()
    await crowd.work()
    took = time.monotonic() - started
    share = {name: (sum(process.cpu_times()[:2]) - before[name]) / took for name, process in processes.items()}
    watch.cancel()
    with session(engine) as work:
        runs.request_stop(work, run_id, "pause")
    while True:
        with session(engine) as work:
            if runs.get_run(work, run_id).state == "paused":
                break
        await asyncio.sleep(0.2)
    lost, landed = _lost(engine, crowd), _landed(engine, run_id)
    return Outcome(crowd.waits, crowd.refreshed, crowd.reloads, crowd.errors, crowd.ignored, len(crowd.writes), lost, 0,
                   landed, took, memory, share)


async def _start_run(address: str) -> int:
    async with Tab(address, "label") as tab:
        await tab.visit()
        await tab.set("provider", "OpenAI or compatible")
        await tab.set("model_openai", MODEL)
        await tab.press(next(label for label in tab.buttons() if label.startswith("Label ")))
        if tab.errors:
            raise SystemExit(f"The run did not start: {tab.errors[0]}")
        return int(tab.parameter("run"))


async def _watch(server: psutil.Process, memory: list[float], each: float) -> None:
    while True:
        memory.append(server.memory_info().rss / 1e6)
        await asyncio.sleep(each)


def _lost(engine, crowd: Crowd) -> list[str]:
    """Those of the crowd's writes that the database does not hold, in words."""
    with session(engine) as work:
        rows = work.exec(select(Feature, Label).join(Label, col(Feature.label_id) == Label.id, isouter=True).where(
            col(Feature.index).in_({write.index for write in crowd.writes})))
        found = {feature.index: (feature, label) for feature, label in rows}
    return [f"{write.what} of feature {write.index}: {write.value!r}" for write in crowd.writes
            if not write.is_in(*found[write.index])]


def _landed(engine, run_id: int) -> int:
    """How many different labels of the run are stored, each on its item."""
    with session(engine) as work:
        return len(set(work.exec(select(Label.text).join(RunItem, col(RunItem.label_id) == Label.id).where(
            RunItem.run_id == run_id, Label.run_id == run_id))))


def show(found: Outcome) -> None:
    """Print it."""
    every = sorted(seconds for waits in found.waits.values() for seconds in waits)
    print(f"{'':34} {'times':>6} {'median':>8} {'95%':>8} {'most':>8}   ms")
    kinds = defaultdict(list, found.waits)
    for name, waits in [*sorted(kinds.items()), ("all", every), ("(fragments that refresh)", found.refreshed)]:
        if waits:
            print(f"{name:34} {len(waits):6,} {1000 * statistics.median(waits):8.0f} "
                  f"{1000 * high(waits):8.0f} {1000 * max(waits):8.0f}")
    print(f"{len(every) / found.seconds:.1f} actions a second over {found.seconds:.0f} s")
    print(f"pages that stayed half drawn and were asked for again: {found.reloads:,}")
    for what, texts in ((f"errors: {len(found.errors)}", found.errors),
                        (f"clicks that did nothing: {len(found.ignored)}", found.ignored),
                        (f"writes: {found.writes:,} made, {len(found.lost)} lost", found.lost)):
        print("\n  ".join([what, *texts[:10]]))
    print(f"labels of the run: {found.asked:,} asked for, {found.labels:,} stored, "
          f"{found.labels / found.seconds:.1f} a second")
    print(f"memory of the server: {' '.join(f'{each:,.0f}' for each in found.memory_of_parts())} MB in each of {PARTS} "
          f"parts of the time, {max(found.memory):,.0f} MB at most")
    print("cores used: " + ", ".join(f"{name} {share:.2f}" for name, share in found.share.items()))


def high(waits: list[float]) -> float:
    """The 95th percentile."""
    return sorted(waits)[max(0, round(0.95 * len(waits)) - 1)]


def main(
    file: Annotated[Path, typer.Argument(help="A database that benchmarks.million wrote.", exists=True)],
    people: Annotated[int, typer.Option(help="How many at once.")] = 50,
    seconds: Annotated[float, typer.Option(help="For how long.")] = 300,
    think: Annotated[float, typer.Option(help="Mean seconds between a result and the next action.")] = 5,
    rate: Annotated[float, typer.Option(help="Labels a second that the run's server can answer.")] = 10,
    folder: Annotated[Path | None, typer.Option(help="Where the copy lies meanwhile.")] = None,
):
    print(f"{people} people, {think:g} s of thought, {os.cpu_count()} cores", flush=True)
    with copied(file, folder) as url:
        show(load(url, people, seconds, think, rate))


if __name__ == "__main__":
    typer.run(main)
