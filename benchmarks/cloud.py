"""What the demo needs of a small host: memory and time of the server, from its start to the last page.

    python -m benchmarks.cloud [--keep FOLDER]

A real server in an empty data folder, and a browser that sets up the demo there, opens every page, searches by meaning,
labels some features more, and asks what fires on a text. Memory is that of the server with all its child processes,
looked at 20 times a second; "files" is the part of it that maps files, which the system takes back where memory is
short. A page of several processes is counted once, so let no other Python run beside it. The browser is not in it. On a
CPU that multiplies bfloat16 models take half as much: ONEDNN_MAX_CPU_ISA=AVX2 measures one that does not.
"""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psutil
import typer
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import ARGUMENTS, CHROMIUM, app_server, new_page, settled

EVERY = 0.05  # seconds
LONGEST = 1_500_000  # milliseconds the set-up may take


class Watch:
    """Memory of a process and its children: the most since ``begin``."""

    def __init__(self, port: int):
        self.process = next(found for found in psutil.process_iter(["cmdline"])
                            if f"--server.port {port}" in " ".join(found.info["cmdline"] or ()))
        self.most = self.overall = (0, 0)
        threading.Thread(target=self._watch, daemon=True).start()

    def now(self) -> tuple[int, int]:
        """Bytes, and those of them that map files."""
        total = files = 0
        for each in (self.process, *self.process.children(recursive=True)):
            try:
                found = Path(f"/proc/{each.pid}/smaps_rollup").read_text()
            except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                continue
            # Pages that several processes map, such as those of libraries, count for each by its share.
            sizes = {name: 1024 * int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", found)}
            total, files = total + sizes["Pss"], files + sizes["Pss_File"]
        return total, files

    def _watch(self) -> None:
        try:
            while True:
                found = self.now()
                self.most, self.overall = max(self.most, found), max(self.overall, found)
                time.sleep(EVERY)
        except psutil.NoSuchProcess:
            return

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print what happened in the block."""
        self.most, started = (0, 0), time.monotonic()
        yield
        print(f"{name:44} {time.monotonic() - started:8.1f} s  most {_shown(self.most)}  then {_shown(self.now())}",
              flush=True)


def _shown(found: tuple[int, int]) -> str:
    return f"{found[0] / 1e6:6,.0f} MB (files {found[1] / 1e6:4,.0f})"


def set_up(page: Page, watch: Watch) -> None:
    """Press the button, and tell the steps of the set-up apart by what the page says."""
    page.get_by_role("button", name=re.compile("Set up the demo")).click()
    for name, next_step in (("fetch, check and convert the model", "Loading model and SAE|Running model and SAE"),
                            ("extraction", "Loading the embedded labeler|Labeling"),
                            ("60 labels by the embedded labeler", None)):
        with watch.step(f"demo: {name}"):
            if next_step:
                page.get_by_text(re.compile(next_step)).first.wait_for(timeout=LONGEST)
            else:
                expect(page.locator("h1")).to_contain_text("Demo", timeout=LONGEST)


def visit(page: Page, address: str, watch: Watch) -> None:
    for path in ("", "browse", "browse?f=1100", "label", "review", "search"):
        with watch.step(f"/{path}"):
            page.goto(f"{address}/{path}")
            settled(page)
    with watch.step("/search?q=law, by words and meaning"):
        page.goto(f"{address}/search?q=things+about+law")
        settled(page)
    with watch.step("16 labels more by the embedded labeler"):
        page.goto(f"{address}/label")
        settled(page)
        page.get_by_text("Embedded", exact=True).click()
        page.get_by_text("Chosen features", exact=True).click()
        page.get_by_role("textbox", name="Features", exact=True).fill("1000-1015")
        page.keyboard.press("Enter")
        page.get_by_role("button", name=re.compile(r"^Label [\d,]+ features$")).click()
        page.get_by_text(re.compile(r"Run 2 (done|· labeling · done)")).first.wait_for(timeout=LONGEST)
    with watch.step("/search, what fires on a text"):
        page.goto(f"{address}/search")
        settled(page)
        page.get_by_text("What fires on a text").first.click()
        page.get_by_role("button", name=re.compile("See what fires")).click()
        page.locator(".ms-text").first.wait_for()
        settled(page)


def main(keep: Annotated[Path | None, typer.Option(help="Where to put the data folder afterwards.")] = None):
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        started = time.monotonic()
        with app_server(f"sqlite:///{folder}/mistudio.db", {"MISTUDIO_DATA_DIR": folder}) as address:
            print(f"{'server answers':44} {time.monotonic() - started:8.1f} s", flush=True)
            watch = Watch(int(address.rpartition(":")[2]))
            with new_page(browser) as page:
                with watch.step("first page"):
                    page.goto(address)
                    settled(page)
                set_up(page, watch)
                visit(page, address, watch)
            print(f"{'most of all':44} {'':10}       {_shown(watch.overall)}")
        browser.close()
        if keep is not None:
            shutil.copytree(folder, keep)


if __name__ == "__main__":
    typer.run(main)
