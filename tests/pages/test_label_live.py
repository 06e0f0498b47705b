"""A run under the eyes of real browsers: it fills in place, outlives a reload, and is the same for everybody."""

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.browser import app_server, new_page, settled
from tests.servers.answers import plausible
from tests.servers.base import Reply
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction

KEY = "sk-of-this-browser"
FEATURES = 40
# What the page consists of while a run goes on, by how each begins.
BLOCKS = ("Run 1 ·", "Labeled", "Speed", "Spent", "Pause", "Newest labels", "What failed, and why", "1 · Who labels",
          "2 · Which features", "3 · Start", "Try one feature first")
REFUSED = "I can't help with <b>that</b>."


class Doled(OpenAIServer):
    """Answers only as often as it is let to; the first answer is a refusal."""

    def __init__(self):
        super().__init__(api_key=KEY)
        self.permits, self.first = threading.Semaphore(0), threading.Lock()
        self.answer = self._answer

    def _answer(self, messages):
        self.permits.acquire(timeout=120)
        return Reply(REFUSED, "content_filter") if self.first.acquire(blocking=False) else plausible(messages)


@pytest.fixture
def server():
    with Doled() as running:
        yield running
        running.permits.release(1000)


@pytest.fixture
def address(engine, database_url):
    add_toy_extraction(engine, features=FEATURES)
    with app_server(database_url) as url:
        yield url


def start(page, address, server):
    page.goto(f"{address}/label")
    settled(page)
    page.get_by_text("OpenAI or compatible", exact=True).click()
    for name, value in (("Server address", server.base_url), ("API key", KEY)):
        box = page.get_by_label(name, exact=True).first
        box.fill(value)
        box.press("Enter")
        settled(page)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text(f"The server offers 1 model: {MODEL}")).to_be_visible()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=MODEL, exact=True).click()
    settled(page)
    page.get_by_role("button", name=f"Label {FEATURES - 1} features").click()
    expect(page.get_by_text("The first labels will appear here.")).to_be_visible()
    expect(page.get_by_test_id("stMetricValue")).to_have_count(7)  # the browser fetches what draws them just now


def watch(page):
    """Note from now on, with every frame that the browser draws, where each of the blocks stands."""
    page.evaluate("""names => {
        window.places = Object.fromEntries(names.map(name => [name, new Set()]));
        const look = () => {
            const main = document.querySelector('[data-testid=stMain]');
            const texts = [...main.querySelectorAll('p, h3')];
            for (const name of names) {
                const found = texts.find(each => each.textContent.trim().startsWith(name));
                places[name].add(found ? Math.round(found.getBoundingClientRect().top + main.scrollTop) : 'gone');
            }
            requestAnimationFrame(look);
        };
        look();
    }""", list(BLOCKS))


def places(page):
    """Each block's places so far: pixels below the top of the page, or "gone"."""
    return page.evaluate("() => Object.fromEntries(Object.entries(places).map(([name, seen]) => [name, [...seen]]))")


def test_a_run_fills_in_place_outlives_a_reload_and_is_the_same_for_everybody(address, server, browser):
    with new_page(browser) as page, new_page(browser) as other:
        start(page, address, server)
        watch(page)
        finished = 0
        for count in (1, 4, 12):
            server.permits.release(count)
            finished += count
            expect(page.get_by_text(f"{finished} of {FEATURES - 1} features")).to_be_visible()
            expect(page.locator(".ms-landed")).to_have_count(finished - 1)
        page.get_by_text("What came instead").click()
        expect(page.get_by_text(REFUSED)).to_be_visible()
        server.permits.release(2)
        finished += 2
        expect(page.locator(".ms-landed")).to_have_count(finished - 1)
        expect(page.get_by_text(REFUSED)).to_be_visible()  # what was opened stays open
        moved = {name: seen for name, seen in places(page).items() if len(seen) > 1 or "gone" in seen}
        assert not moved, f"these have moved while labels came in: {moved}"

        other.goto(f"{address}/browse")
        settled(other)
        sidebar = other.locator("[data-testid=stSidebar]")
        expect(sidebar.get_by_text(f"Labeling: {finished} of {FEATURES - 1}")).to_be_visible()
        sidebar.get_by_text("Open the run").click()
        expect(other.locator(".ms-landed")).to_have_count(finished - 1)
        assert KEY not in other.content(), "a key stays with the browser it was typed in"

        page.reload()
        settled(page)
        expect(page.locator(".ms-landed")).to_have_count(finished - 1)
        server.permits.release(1000)
        for watching in (page, other):
            expect(watching.get_by_text(re.compile("^Run 1 · labeling · done"))).to_be_visible()
            expect(watching.get_by_text(f"{FEATURES - 1} of {FEATURES - 1} features")).to_be_visible()
