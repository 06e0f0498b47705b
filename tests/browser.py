"""A real server and a real browser, for tests of what only a browser can show."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
             "--disable-component-update", "--no-first-run"]
SIZE = {"width": 1280, "height": 800}
# A busy machine may take its time; what is wrong does not become right by waiting.
TIMEOUT = 180_000
expect.set_options(timeout=TIMEOUT)


@contextmanager
def app_server(database_url: str, env: dict[str, str] | None = None, timeout: float = 90,
               path: str = "", options: tuple[str, ...] = (), log: Path | None = None) -> Iterator[str]:
    """``streamlit run app.py`` in its own process on a free port; yields its address once it answers.

    Args:
        path: below which it serves, as ``/name``.
        options: more of Streamlit's.
        log: a file for all that it prints.
    """
    port = free_port()
    environment = {**os.environ, "MISTUDIO_DATABASE_URL": database_url, **(env or {})}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless",
               "true", "--server.address", "127.0.0.1", "--server.baseUrlPath", path, *options]
    with log.open("w+") if log else tempfile.TemporaryFile("w+") as printed:
        server = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        try:
            _wait_until_healthy(server, f"http://127.0.0.1:{port}{path}", timeout, printed)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind((host, 0))
        return free.getsockname()[1]


def _wait_until_healthy(server: subprocess.Popen, address: str, timeout: float, log) -> None:
    import urllib.error
    import urllib.request

    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)  # nothing signals that a port has opened
    log.seek(0)
    pytest.fail(f"the app did not start: {log.read()[-2000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; tests that want it are skipped, and say why, where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def new_page(browser: Browser, scheme: str = "light", size: dict[str, int] = SIZE) -> Iterator[Page]:
    """A fresh visitor: no cookies, no storage."""
    context = browser.new_context(viewport=size, color_scheme=scheme)
    context.set_default_timeout(TIMEOUT)
    try:
        yield context.new_page()
    finally:
        context.close()


def settled(page: Page) -> Page:
    """Wait until the app shows a heading and its script is not running any more."""
    page.wait_for_selector("h1")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'"
        " && !document.querySelector('[data-testid=stSkeleton]')")
    return page


def click_row(page: Page, row: int) -> None:
    """Click a row (from 0) of the first table; its cells are drawn on a canvas, so it has no elements to name."""
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 150, box["y"] + 35 * (row + 1) + 17)
