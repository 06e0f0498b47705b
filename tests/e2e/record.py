"""Play the six scenes for a camera: a video and one picture a scene.

    python -m tests.e2e.record FOLDER

In recording mode, on a demo database made for it or a copy of another one without labels, labeled by the embedded
labeler. Needs Chromium; without ffmpeg it leaves the pictures alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright

from mistudio.cli.output import Steps
from mistudio.demo.setup import run_demo
from mistudio.store import open_store
from tests.browser import ARGUMENTS, CHROMIUM, app_server, new_page, settled
from tests.e2e import scenes

SIZE = {"width": 1440, "height": 900}
TOKENS = 100_000
# Milliseconds: between two actions, and how long a scene's title stays.
PACE, TITLE = 350, 2500
NO_FFMPEG = ("No video is made, as there is no ffmpeg. For one, run: python -m playwright install ffmpeg, or put an "
             "ffmpeg on the PATH.")


def main(
    folder: Annotated[Path, typer.Argument(help="Where mistudio.webm and the pictures go.")],
    dark: Annotated[bool, typer.Option("--dark", help="The dark theme.")] = False,
    database: Annotated[Path | None, typer.Option(help="An SQLite file with one extraction of the demo's SAE and no "
                                                       "labels; a copy of it is used.")] = None,
    others: Annotated[int, typer.Option(help="Features to label beside those about digits.", min=8)] = 40,
) -> None:
    """Record the story."""
    if CHROMIUM is None:
        sys.exit("No Chromium is installed (on Debian: apt-get install chromium).")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        film = provide_ffmpeg(Path(scratch))
        if not film:
            print(NO_FFMPEG)
        story = Path(scratch) / "story.db"
        url = f"sqlite:///{story}"
        if database is not None:
            shutil.copy(database, story)
        else:
            engine = open_store(url)
            with Steps() as steps:
                run_demo(engine, tokens=TOKENS, label=0, progress=steps)
            engine.dispose()
        record(url, folder, "dark" if dark else "light", scenes.digits_and_others(url, others), film=film)
    print(f"{folder / 'mistudio.webm'}, and a picture of each scene beside it." if film
          else f"A picture of each scene, in {folder}. {NO_FFMPEG}")


def record(url: str, folder: Path, scheme: str, features: str, *, film: bool) -> None:
    """Play on this database, with the embedded labeler; ``film``: and record."""
    with app_server(url, {"MISTUDIO_RECORDING": "1"}) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, slow_mo=PACE)
        with new_page(browser, scheme, SIZE) as page:
            camera = page.screencast

            def announce(scene) -> None:
                number, what = re.split(": ", scene.__doc__.split("\n")[0].rstrip("."), maxsplit=1)
                print(f"{number}: {what}")
                camera.show_chapter(number, description=what, duration=TITLE)
                page.wait_for_timeout(TITLE)

            page.goto(address)
            settled(page)
            if film:
                camera.start(path=folder / "mistudio.webm", size=SIZE)
            camera.show_actions(cursor="pointer", duration=PACE, style={"title": "display: none"})
            try:
                scenes.play(page, address, folder, scenes.by_embedded, features, scenes.OF_DIGITS, measured=True,
                            before=announce)
            finally:
                if film:
                    camera.stop()  # what was recorded until a scene failed shows why
        browser.close()


def provide_ffmpeg(folder: Path) -> bool:
    """Playwright records with an ffmpeg of its own; where it is not installed, the one on the PATH takes its place.

    Returns whether there is one.
    """
    said = subprocess.run([sys.executable, "-m", "playwright", "install", "--dry-run", "ffmpeg"], capture_output=True,
                          text=True, check=True).stdout
    place = Path(re.search(r"Install location: *(.+)", said)[1])
    if place.exists():
        return True
    found = shutil.which("ffmpeg")
    if found is None:
        return False
    name = {"linux": "ffmpeg-linux", "darwin": "ffmpeg-mac"}.get(sys.platform, "ffmpeg-win64.exe")
    (folder / place.name).mkdir()
    (folder / place.name / name).symlink_to(found)
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(folder)
    return True


if __name__ == "__main__":
    typer.run(main)
