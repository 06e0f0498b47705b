"""Server time of every page's usual interactions on a large database, and what the real server needs.

    python -m benchmarks.million folder/million.db
    python -m benchmarks.pages folder/million.db                  # twenty rounds of each interaction
    python -m benchmarks.pages folder/million.db --only Review --rounds 5
    python -m benchmarks.pages folder/million.db --browser        # first paint and memory of a real server

A round is something done on a page that is open: what the server works for it, timed in this process through
Streamlit's AppTest; what the browser then draws is not in it. "First visit" is a new session on a server that was used
before. Each round asks for something else: another page, another word, another feature. The file is copied first, for
Review writes to it.
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
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from mistudio.settings import settings
from tests.browser import ARGUMENTS, CHROMIUM, app_server, new_page, settled
from tests.pages import APP

# One more than there are rounds, for the visit that comes first and is not timed.
WORDS = ("court", "python", "digits", "brackets", "prices", "poems", "medical", "headers", "quotes", "verbs", "months",
         "metals", "recipes", "patents", "keywords", "commas", "maps", "invoices", "letters", "questions", "verses")
SORTS = ("Index", "Label", "Score", "Density", "Maximum", "Confidence", "State", "Label state", "Kind", "Provider",
         "Origin", "Disagreement", "Need")
COMPONENTS = BidiComponentManager()


Act = Callable[[AppTest, int], AppTest]


@dataclass(frozen=True)
class Interaction:
    """``act`` is done on the open page in a round (numbered from 0) and then timed; where there is none, it is the
    first visit of another person that is timed."""

    page: str
    name: str
    act: Act | None = None


def visit(page: str) -> AppTest:
    """The first run of a fresh session."""
    test = AppTest.from_file(APP, default_timeout=120)
    # A server looks through all packages for components once; a test would do it at each visit.
    test._bidi_component_manager = COMPONENTS
    if page != "Home":
        test.switch_page(f"pages/{page.lower()}.py")
    return test.run()


def press(label: str) -> Act:
    """Click the button that says so."""
    return lambda test, _number: next(button for button in test.button if label in button.label).click().run()


def choose(**values: Callable[[int], object]) -> Act:
    """Give the widgets with these keys the values of the round."""
    def act(test: AppTest, number: int) -> AppTest:
        for key, value in values.items():
            test.session_state[key] = value(number)
        return test.run()
    return act


def turn(*values: object) -> Callable[[int], object]:
    """These values in turn."""
    return lambda number: values[number % len(values)]


def open_feature(test: AppTest, number: int) -> AppTest:
    """As a click in the table does: a feature that has examples, somewhere in the extraction."""
    test.query_params["f"] = str(100 * (37 * number + 11))
    return test.run()


INTERACTIONS = (
    *(Interaction(page, "first visit") for page in ("Home", "Browse", "Label", "Review", "Search")),
    Interaction("Home", "another view", choose(view=turn("Manage", "Overview"))),
    Interaction("Browse", "page 3", choose(page=lambda number: 3 + number)),
    Interaction("Browse", "last page", choose(page=lambda number: 20_000 - number)),
    Interaction("Browse", "by label state", choose(
        labels=turn("Unreviewed", "Approved", "Human", "Rejected", "Unlabeled", "Labeled"))),
    Interaction("Browse", "by feature state", choose(state=turn(["live"], ["rare"], ["dense"], ["dead"]))),
    Interaction("Browse", "by label state and score", choose(
        labels=turn("Unreviewed", "Approved", "Human", "Rejected"), sort=turn("Score"), desc=turn(True))),
    Interaction("Browse", "by text", choose(text=WORDS.__getitem__)),
    *(Interaction("Browse", f"sort by {sort.lower()}", choose(
        sort=turn(sort), desc=turn(True, False), page=lambda number: 1 + number // 2)) for sort in SORTS),
    Interaction("Browse", "open a feature", open_feature),
    Interaction("Label", "other features", choose(what_features=turn("all", "unlabeled"))),
    Interaction("Review", "next", press("Next")),
    Interaction("Review", "approve", press("Approve")),
    Interaction("Review", "reject, then undo", lambda test, number: press("Undo")(
        press("Reject")(test, number), number)),
    Interaction("Search", "one word", choose(q=WORDS.__getitem__)),
    Interaction("Search", "a phrase", choose(q=lambda number: f'"{WORDS[number]} in"')),
    Interaction("Search", "by meaning", choose(q=lambda number: f"things about {WORDS[number]} and the like")),
)


def timed(interaction: Interaction, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of each round, by the clock and of processor (on a machine that does other things too, the second
    is nearer to the truth). Streamlit's caches are kept as on a server that was used before."""
    took = []
    test = visit(interaction.page)
    if interaction.act:
        interaction.act(test, rounds)
    for number in range(rounds):
        started, worked = time.perf_counter(), time.process_time()
        test = interaction.act(test, number) if interaction.act else visit(interaction.page)
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
