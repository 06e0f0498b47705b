"""The Label page against a real OpenAI-protocol server: what its tests share."""

import threading

from tests.pages import visit
from tests.servers.openai_server import MODEL


def choose(test, server, key="sk-right"):
    """Fill in provider, address and key, and ask the server for its models."""
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="base_url_openai").set_value(server.base_url).run()
    test.text_input(key="api_key").set_value(key).run()
    return press(test, "Test connection")


def chosen(server, features="", **query):
    """The page with that server's model chosen, and some features or all that are unlabeled."""
    test = choose(visit("label", **query), server)
    test.selectbox(key="model_list_openai").select(MODEL).run()
    if features:
        test.segmented_control(key="what_features").set_value("chosen").run()
        test.text_input(key="chosen_features").set_value(features).run()
    return test


def press(test, name):
    next(button for button in test.button if button.label.startswith(name)).click().run()
    assert not test.exception
    return test


def button(test, name):
    return next(found for found in test.button if found.label.startswith(name))


def wait_for_run(run_id):
    for thread in threading.enumerate():
        if thread.name == f"run-{run_id}":
            thread.join(60)
