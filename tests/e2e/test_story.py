"""DESIGN's story in headless Chromium, on the demo's real model and SAE, once with each provider.

Each scene leaves a picture in ``screenshots/``.
"""

import csv
import threading

from mistudio.exchange.labels import export_labels
from mistudio.store import open_store
from tests.browser import app_server, new_page, settled
from tests.e2e import scenes
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAIServer


def play(browser, database, pictures, who, features, words=scenes.OF_ANYTHING, server=None, **more):
    """Scenes 1 to 6; returns the edited feature and its label.

    A server gives its first answers and holds the others back until scene 3 has been seen.
    """
    arrived = threading.Event()
    if server is not None:
        server.free, server.gate = 30, arrived
    with app_server(database) as address, new_page(browser) as page:
        page.goto(address)
        settled(page)
        return scenes.play(page, address, pictures, who, features, words, arrived=arrived.set, **more)


def test_openai(browser, story_url, pictures, tmp_path):
    with OpenAIServer(api_key="sk-of-this-session") as server:
        index, text = play(browser, story_url, pictures, scenes.by_openai(server.base_url), None, server=server)
        assert len(server.requests) > 500
    exported = tmp_path / "labels.csv"
    engine = open_store(story_url)
    export_labels(engine, 1, exported)
    engine.dispose()
    rows = {int(row["feature"]): row for row in csv.DictReader(exported.open(newline=""))}
    assert rows[index]["label"] == text and rows[index]["origin"] == "human"
    assert {row["hook_point"] for row in rows.values()} == {"layers.9"}


def test_ollama(browser, story_url, pictures):
    with OllamaServer() as server:
        play(browser, story_url, pictures, scenes.by_ollama(server.url), "0-119", server=server)


def test_embedded(browser, story_url, pictures):
    features = scenes.digits_and_others(story_url, others=24)
    play(browser, story_url, pictures, scenes.by_embedded, features, scenes.OF_DIGITS, measured=True)
