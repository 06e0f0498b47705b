"""DESIGN's story in headless Chromium, on the demo's real model and SAE, once with each provider.

Each scene leaves a picture in ``screenshots/``.
"""

import csv
import threading

from mistudio.exchange.labels import export_labels
from mistudio.store import open_store, session
from mistudio.store.features import FeatureFilter, list_features
from tests.browser import app_server, new_page
from tests.e2e import scenes
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAIServer

WORDS = {"math": "math|equation|number|digit", "number": "number|digit|numer", "code": "code|python|keyword",
         "function": "function|def|code|bracket"}


def play(browser, database, pictures, who, features, words=WORDS, server=None):
    """Scenes 1 to 6; returns the edited feature and its label.

    A server gives its first answers and holds the others back until scene 3 has been seen.
    """
    if server is not None:
        server.free, server.gate = 30, threading.Event()
    with app_server(database) as address, new_page(browser) as page:
        page.goto(address)
        scenes.open_unlabeled_browser(page, pictures)
        scenes.configure(page, pictures, who, features)
        scenes.watch_labels_arrive(page, pictures)
        if server is not None:
            server.gate.set()
        scenes.wait_for_the_end(page)
        index, text = scenes.review_and_edit(page, pictures)
        scenes.search(page, pictures, words)
        scenes.close_on_the_labeled_browser(page, pictures, address, index, text)
    return index, text


def digits_and_others(database):
    """Eight features that are about digits, and forty that may be about anything."""
    engine = open_store(database)
    with session(engine) as work:
        found = [feature for feature, _label in list_features(
            work, 1, FeatureFilter(states=("live",), min_density=0.001), sort="max_activation", descending=True,
            limit=None)]
    engine.dispose()
    digits = [feature for feature in found if sum(str(top[0]).isdigit() for top in feature.top_tokens[:4]) >= 3]
    return ",".join(str(feature.index) for feature in [*digits[:8], *found[:40]])


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
    play(browser, story_url, pictures, scenes.by_embedded, digits_and_others(story_url),
         words={"number": "number|digit|year|date"})
