"""Server time of every page's usual interactions on a large database, and what the real server needs.

    python -m benchmarks.million folder/million.db
    python -m benchmarks.pages folder/million.db                  # twenty rounds of each interaction
    python -m benchmarks.pages folder/million.db --only Review --rounds 5
    python -m benchmarks.pages folder/million.db --browser        # first paint and memory of a real server

A round is a whole run of the page's script, as a server does it for a click, timed in this process through Streamlit's
AppTest; what the browser then draws is not in it. Each round asks for something else, so that no cache answers for the
database: another page, another word, another feature. The file is copied first, for Review writes to it.
"""

import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright
from streamlit.testing.v1 import AppTest

from mistudio.settings import settings
from tests.browser import ARGUMENTS, CHROMIUM, app_server, new_page, settled
from tests.pages import APP

# One more than there are rounds, for the visit that comes first and is not timed.
WORDS = ("court", "python", "digits", "brackets", "prices", "poems", "medical", "headers", "quotes", "verbs", "months",
         "metals", "recipes", "patents", "keywords", "commas", "maps", "invoices", "letters", "questions", "verses")
SORTS = ("Index", "Label", "Score", "Density", "Maximum", "Confidence", "State", "Label state", "Kind", "Provider",
         "Origin", "Disagreement", "Need")


@dataclass(frozen=True)
class Interaction:
    """``address`` is what the URL holds in a round (numbered from 0); ``act`` is done on the open page and then timed,
    where there is none it is the visit that is timed."""

    page: str
    name: str
    address: Callable[[int], dict] = lambda _number: {}
    act: Callable[[AppTest], AppTest] | None = None


def visit(page: str, address: dict) -> AppTest:
    """The first run of a fresh session at an address."""
    test = AppTest.from_file(APP, default_timeout=120)
    if page != "Home":
        test.switch_page(f"pages/{page.lower()}.py")
    for name, value in address.items():
        test.query_params[name] = str(value)
    return test.run()


def press(label: str) -> Callable[[AppTest], AppTest]:
    """Click the button that says so."""
    return lambda test: next(button for button in test.button if label in button.label).click().run()


def far(number: int) -> int:
    """A feature that has examples, somewhere in the extraction."""
    return 100 * (37 * number + 11)


INTERACTIONS = (
    Interaction("Home", "open"),
    Interaction("Browse", "open"),
    Interaction("Browse", "page 3", lambda number: {"page": 3 + number}),
    Interaction("Browse", "last page", lambda number: {"page": 20_000 - number}),
    Interaction("Browse", "by label state", lambda number: {
        "labels": ("Unreviewed", "Approved", "Human", "Rejected", "Unlabeled", "Labeled")[number % 6],
        "page": 1 + number}),
    Interaction("Browse", "by feature state", lambda number: {
        "state": ("live", "rare", "dense", "dead")[number % 4], "page": 1 + number}),
    Interaction("Browse", "by label state and score", lambda number: {
        "labels": ("Unreviewed", "Approved", "Human", "Rejected")[number % 4], "sort": "Score", "desc": "true",
        "page": 1 + number}),
    Interaction("Browse", "by text", lambda number: {"text": WORDS[number]}),
    *(Interaction("Browse", f"sort by {sort.lower()}", lambda number, sort=sort: {
        "sort": sort, "desc": ("true", "false")[number % 2], "page": 1 + number // 2}) for sort in SORTS),
    Interaction("Browse", "open a feature", lambda number: {"f": far(number)}),
    Interaction("Label", "open, with the estimate"),
    Interaction("Review", "open"),
    Interaction("Review", "next", act=press("Next")),
    Interaction("Review", "approve", act=press("Approve")),
    Interaction("Review", "reject, then undo", act=lambda test: press("Undo")(press("Reject")(test))),
    Interaction("Search", "open"),
    Interaction("Search", "one word", lambda number: {"q": WORDS[number]}),
    Interaction("Search", "a phrase", lambda number: {"q": f'"{WORDS[number]} in"'}),
    Interaction("Search", "by meaning", lambda number: {"q": f"things about {WORDS[number]} and the like"}),
)


def timed(interaction: Interaction, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of each round, by the clock and of processor (on a machine that does other things too, the second
    is nearer to the truth). Streamlit's caches are kept as on a server that was used before."""
    took = []
    visit(interaction.page, interaction.address(rounds))
    for number in range(rounds):
        test = visit(interaction.page, interaction.address(number)) if interaction.act else None
        started, worked = time.perf_counter(), time.process_time()
        test = interaction.act(test) if test else visit(interaction.page, interaction.address(number))
        took.append((1000 * (time.perf_counter() - started), 1000 * (time.process_time() - worked)))
        wrong = [found.value for found in (*test.error, *test.warning)]
        if wrong:
            raise SystemExit(f"{interaction.page}, {interaction.name}: {wrong[0]}")
    return took


@contextmanager
def copied(file: Path, folder: Path | None) -> Iterator[str]:
    """The URL of a copy that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        yield f"sqlite:///{shutil.copy(file, scratch)}"


def in_process(url: str, rounds: int, only: str) -> None:
    os.environ["MISTUDIO_DATABASE_URL"] = url
    settings.cache_clear()
    print(f"{'':37} {'by the clock':>19} {'processor':>19}\n{'page':8} {'interaction':28} {'median':>9} {'95%':>9} "
          f"{'median':>9} {'95%':>9}   ms over {rounds} rounds", flush=True)
    for interaction in INTERACTIONS:
        if only.lower() not in f"{interaction.page} {interaction.name}".lower():
            continue
        found = [f"{statistics.median(took):9.0f} {sorted(took)[max(0, round(0.95 * rounds) - 1)]:9.0f}"
                 for took in zip(*timed(interaction, rounds), strict=True)]
        print(f"{interaction.page:8} {interaction.name:28} {' '.join(found)}", flush=True)


def in_browser(url: str) -> None:
    """First paint of a cold server, and its memory after every page was visited."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with app_server(url) as address, new_page(opened) as page:
            started = time.perf_counter()
            page.goto(f"{address}/browse")
            page.get_by_role("heading", name="Browse").wait_for()
            heading = time.perf_counter() - started
            page.get_by_test_id("stDataFrame").first.wait_for()
            table = time.perf_counter() - started
            settled(page)
            print(f"Browse on a cold server: heading after {heading:.1f} s, table after {table:.1f} s, "
                  f"all after {time.perf_counter() - started:.1f} s")
            for path in ("", "browse?f=1100", "browse?text=court", "label", "review", "search", "search?q=court",
                         "search?q=things+about+law"):
                settled(page.goto(f"{address}/{path}") and page)
                print(f"  memory after /{path}: {resident(address):,.0f} MB")
        opened.close()


def resident(address: str) -> float:
    """MB of the process that listens there, as Linux counts them."""
    port = address.rsplit(":", 1)[1]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"--server.port\0{port}\0" in (process / "cmdline").read_text():
                return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1]) / 1000
        except OSError:  # it ended meanwhile
            continue
    raise SystemExit("The server is gone.")


def main(
    file: Annotated[Path, typer.Argument(help="A database that benchmarks.million wrote.", exists=True)],
    rounds: Annotated[int, typer.Option(help="Of each interaction.", min=1, max=20)] = 20,
    only: Annotated[str, typer.Option(help="Only interactions whose page and name hold this.")] = "",
    browser: Annotated[bool, typer.Option(help="A real server and browser instead: first paint and memory.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the copy lies meanwhile.")] = None,
):
    with copied(file, folder) as url:
        in_browser(url) if browser else in_process(url, rounds, only)


if __name__ == "__main__":
    typer.run(main)
