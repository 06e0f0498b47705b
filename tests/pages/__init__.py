"""The pages, run as Streamlit runs them: each opened on its own, as a first visit to its address would."""

import threading
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "app.py"


def visit(page: str = "", /, **query: object) -> AppTest:
    """Open ``/page?query``; the first run of a fresh session."""
    test = AppTest.from_file(APP, default_timeout=60)
    if page:
        test.switch_page(f"pages/{page}.py")
    for name, value in query.items():
        test.query_params[name] = str(value)
    test.run()
    assert not test.exception, [found.message for found in test.exception]
    return test


def html(test: AppTest) -> str:
    """All HTML on the page."""
    return "\n".join(found.body for found in test.get("html"))


def words(test: AppTest) -> str:
    """All Markdown, captions and messages on the page."""
    found = [*test.markdown, *test.caption, *test.info, *test.warning, *test.error, *test.title, *test.subheader]
    return "\n".join(element.value for element in found)


def unescaped(said: str) -> str:
    """What a person reads of text that was made safe for Markdown."""
    return said.replace("\\", "").replace("\N{WORD JOINER}", "")


def press(test: AppTest, label: str) -> AppTest:
    """Click the button with this label."""
    next(button for button in test.button if button.label == label).click().run()
    assert not test.exception, [found.message for found in test.exception]
    return test


def wait_for_job() -> None:
    """Block until the job that a page started in the background has ended."""
    for thread in threading.enumerate():
        if thread.name == "job":
            thread.join(60)
