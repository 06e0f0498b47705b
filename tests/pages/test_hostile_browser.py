"""Hostile text on every page of a real browser: it is shown, and does nothing."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Page

from tests.browser import app_server, new_page, settled
from tests.hostile.database import add_hostile_extraction
from tests.hostile.strings import ALL, MARKDOWN, SCRIPTS

# What must not be there: what ran, elements and links that only hostile text would make.
LOOK = """() => {
  const all = [...document.querySelectorAll('[data-testid=stMain] *, [data-testid=stSidebar] *')];
  const found = [];
  if (window.pwned) found.push('a script ran');
  for (const each of all) {
    for (const {name, value} of each.attributes) {
      if (/^on/.test(name)) found.push(`${each.tagName} ${name}`);
      if (/^(href|src|action|formaction|xlink:href)$/.test(name) && (/^\\s*javascript:/i.test(value)
          || /evil\\.example/.test(value))) found.push(`${each.tagName} ${name}=${value}`);
    }
    if (/^(SCRIPT|IFRAME|OBJECT|EMBED|BASE|META|LINK)$/.test(each.tagName)) found.push(each.tagName);
    if (each.tagName === 'IMG' && !each.src.startsWith(location.origin) && !each.src.startsWith('data:'))
      found.push(`IMG ${each.src}`);
  }
  return [...new Set(found)];
}"""
MADE = "[data-testid=stMarkdownContainer] :is(.katex, h4, blockquote, hr, table, del, pre)"


def visits(extraction: int, runs: list[int]) -> list[tuple[str, dict]]:
    """Every page with each of its views."""
    found: list[tuple[str, dict]] = [("", {"view": view}) for view in ("Overview", "Compare", "Manage")]
    found += [("browse", {"f": index, "tab": tab}) for index, tab in (
        (0, "Examples"), (2, "Statistics"), (3, "Scores"), (4, "History"), (5, "Related"), (6, "Note"))]
    found += [("label", {"job": job, "run": run}) for job, run in (
        ("Label", runs[0]), ("Score", runs[1]), ("Distill", runs[0]))]
    found += [("review", {"f": 3}), ("review", {"queue": "Labeled", "f": 9}), ("review", {"f": 7})]
    found += [("search", {"q": text}) for text in (SCRIPTS[1], MARKDOWN[0], "script")]
    found += [("search", {"find": "What fires on a text"})]
    return [(page, {"x": extraction, **query}) for page, query in found]


def add_hostile_adapter(folder) -> None:
    measures = {"failed": 0, "similarity": 0.5, "shuffled": 0.1, "top1": 0.5, "top5": 0.9}
    text = f"{SCRIPTS[1]} {MARKDOWN[0]} :red[x]"
    card = {"name": text, "base": text, "revision": text, "compared": text, "extraction": 1, "extraction_name": text,
            "trained": 40, "held_out": 10, "left_out": {text: 1}, "settings": {"seed": text}, "before": measures,
            "after": measures, "verdict": {"better": True, "sentence": text, "difference": 0.1, "low": 0, "high": 0.2},
            "labels": [{"index": 1, "reference": text, "before": text, "after": None}],
            "created_at": datetime.now(UTC).isoformat()}
    (folder / "adapters" / "evil").mkdir(parents=True)
    (folder / "adapters" / "evil" / "card.json").write_text(json.dumps(card))


@pytest.fixture
def watched(engine, database_url, browser, tmp_path):
    """A page of an app full of hostile text, its address, what it visits, and what it asked other hosts for."""
    extraction, runs = add_hostile_extraction(engine)
    add_hostile_extraction(engine, features=12)
    add_hostile_adapter(tmp_path)
    with app_server(database_url, {"MISTUDIO_DATA_DIR": str(tmp_path)}) as url, new_page(browser) as page:
        foreign, dialogs = [], []
        page.on("request", lambda request: foreign.append(request.url) if urlsplit(request.url).hostname not in (
            "127.0.0.1", None) else None)
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        yield page, url, visits(extraction, runs), foreign
        assert not dialogs


def open_all(page: Page) -> None:
    """Open whatever can be opened on the page, one after the other: what opens may draw the others anew."""
    while page.evaluate("""() => {
        const closed = [...document.querySelectorAll('[data-testid=stExpander] details:not([open]) > summary')];
        const next = closed.find(each => !(window.opened ??= new Set()).has(each.textContent));
        if (next) { window.opened.add(next.textContent); next.click(); }
        return Boolean(next);
    }"""):
        settled(page)


def test_no_hostile_text_does_anything_on_any_page(watched):
    page, url, places, foreign = watched
    for name, query in places:
        page.goto(f"{url}/{name}?{urlencode(query)}")
        settled(page)
        open_all(page)
        where = f"/{name}?{urlencode(query)}"
        assert not page.get_by_text("Something went wrong").count(), where
        assert page.evaluate(LOOK) == [], where
        assert not page.locator(MADE).count(), where
    assert not foreign


def test_no_hostile_address_does_anything(watched):
    page, url, _places, foreign = watched
    names = ("x", "f", "run", "tab", "view", "job", "q", "find", "text", "labels", "state", "kind", "origin", "sort",
             "page", "only", "what", "queue", "order", "score", "density_from", "max_to", "starred", "desc", "with")
    hostile = [text for text in ALL if len(text) < 400 and "\0" not in text]
    for number, name in enumerate(("", "browse", "label", "review", "search")):
        query = {key: hostile[(7 * at + 11 * number) % len(hostile)] for at, key in enumerate(names)}
        page.goto(f"{url}/{name}?{urlencode(query)}")
        settled(page)
        where = f"/{name}?{urlencode(query)}"
        assert not page.get_by_text("Something went wrong").count(), where
        assert page.evaluate(LOOK) == [], where
    assert not foreign
