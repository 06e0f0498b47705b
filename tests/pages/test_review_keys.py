"""Review without a mouse: every key does what its button says, in a real browser."""

import re

from playwright.sync_api import Page, expect

from mistudio.store import Label, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label
from tests.browser import app_server, new_page, settled


def opened(page: Page, index: int) -> None:
    """Wait until a feature is open, and nothing is drawn any more."""
    expect(page).to_have_url(re.compile(rf"[?&]f={index}(&|$)"))
    expect(page.get_by_text(re.compile(f"^Feature {index} ·"))).to_be_visible()
    settled(page)


def test_a_queue_is_worked_through_with_keys(engine, toy, database_url, browser):
    with session(engine) as work:
        for index in range(5):
            feature, _label = get_feature(work, toy, index)
            add_label(work, Label(feature_id=feature.id, text=f"pattern {index}", origin="llm", provider="embedded"))

    def stored(index):
        with session(engine) as work:
            return get_feature(work, toy, index)

    with app_server(database_url) as address, new_page(browser) as page:
        press, label = page.keyboard.press, page.locator(".ms-label").first
        page.goto(f"{address}/review?order=Index")
        opened(page, 0)
        for name, key in (("Next", "N"), ("Previous", "P"), ("Approve", "A"), ("Reject", "X"), ("Edit", "E"),
                          ("Regenerate", "G"), ("Star", "S"), ("Undo", "U")):
            expect(page.get_by_role("button", name=re.compile(f"{name}.*{key}$", re.DOTALL))).to_have_count(1)
        press("n")
        opened(page, 1)
        press("p")
        opened(page, 0)
        press("a")
        opened(page, 1)
        press("x")
        opened(page, 2)
        assert (stored(0)[1].verdict, stored(1)[1].verdict) == ("approved", "rejected")
        press("u")
        opened(page, 1)
        assert stored(1)[1].verdict == ""
        press("s")
        expect(page.get_by_role("button", name=re.compile("Unstar"))).to_be_visible()
        assert stored(1)[0].starred
        press("e")
        field = page.get_by_label("Label", exact=True)
        expect(field).to_be_focused()
        page.keyboard.type(", an apex")  # keys that are typed are text, not commands
        press("Enter")
        expect(label).to_have_text("pattern 1, an apex")
        settled(page)
        assert (stored(1)[1].text, stored(1)[1].origin) == ("pattern 1, an apex", "human")
        press("e")
        expect(field).to_be_focused()
        press("Escape")
        expect(field).to_have_count(0)
        settled(page)
        press("n")
        opened(page, 2)
