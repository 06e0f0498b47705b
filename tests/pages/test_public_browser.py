"""A public server: two strangers, each with a key of their own or none, and an owner whose key stays at home."""

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from mistudio.store import open_store
from tests.browser import app_server, new_page, settled
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction

KEY, OWNERS = "sk-typed-in-one-browser-5511", "sk-of-the-owner-7733"


@pytest.fixture
def server():
    with OpenAIServer(api_key=KEY) as running:
        yield running


def choose(page, address, server):
    page.goto(f"{address}/label")
    settled(page)
    page.get_by_text("OpenAI or compatible", exact=True).click()
    fill(page, "Server address", server.base_url)
    fill(page, "Model", MODEL)


def fill(page, name, value):
    box = page.get_by_label(name, exact=True).first
    box.fill(value)
    box.press("Enter")
    settled(page)


def test_a_key_is_its_visitors_alone_and_nothing_is_stored(browser, server, tmp_path):
    database, log = tmp_path / "test.db", tmp_path / "log.txt"
    engine = open_store(f"sqlite:///{database}")
    add_toy_extraction(engine)
    engine.dispose()
    with closing(sqlite3.connect(database)) as connection:
        before = list(connection.iterdump())
    environment = {"MISTUDIO_ACCESS": "public", "MISTUDIO_DATA_DIR": str(tmp_path / "data"), "OPENAI_API_KEY": OWNERS,
                   "OPENAI_BASE_URL": server.base_url, "MISTUDIO_VISITOR_SERVERS": server.base_url}
    shown = []
    with (app_server(f"sqlite:///{database}", environment, options=("--logger.level", "debug"), log=log) as address,
          new_page(browser) as first, new_page(browser) as second):
        choose(first, address, server)
        fill(first, "API key", KEY)
        first.get_by_role("button", name="Try it").click()
        expect(first.get_by_text("Raw reply")).to_be_visible()
        choose(second, address, server)
        second.get_by_role("button", name="Try it").click()
        expect(second.get_by_text("refuses the API key")).to_be_visible()
        fill(second, "Server address", "")
        expect(second.get_by_role("button", name="Try it")).to_be_disabled()
        fill(second, "Server address", "http://127.0.0.1:9/v1")
        second.get_by_role("button", name="Try it").click()
        expect(second.get_by_text("is not on the public internet")).to_be_visible()
        for page in (first, second):
            for place in ("", "?view=Manage", "browse?f=3&tab=Note", "label?job=Distill", "review?f=3", "search"):
                page.goto(f"{address}/{place}")
                settled(page)
                for name in ("Save", "Approve", "Delete", "Rename", "Distill", "Start", "Keep this label"):
                    assert not page.get_by_role("button", name=name, exact=True).count(), (place, name)
                page.evaluate("document.querySelectorAll('input[type=password]').forEach(each => each.remove())")
                shown.append(page.content() + page.url)
    sent = {headers["Authorization"] for headers in server.headers}
    assert sent == {f"Bearer {KEY}", "Bearer none"}, "the owner's key stays where it is"
    with closing(sqlite3.connect(database)) as connection:
        kept = [row for row in connection.iterdump() if not row.startswith('INSERT INTO "referencevectors"')]
    assert kept == before
    everything = "".join(shown).encode() + b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in everything and OWNERS.encode() not in everything
    print(f"{len(everything):,} bytes searched")
