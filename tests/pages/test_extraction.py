"""Home starts an extraction on one's own model, shows how far it is, and can stop it and go on."""

import threading

import pytest
from sqlmodel import select

from mistudio import background
from mistudio.settings import settings
from mistudio.store import Extraction, session
from tests.extract.outcome import tiny_config
from tests.pages import press, unescaped, visit, wait_for_job, words


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    yield tiny_config(tmp_path)
    wait_for_job()
    background.acknowledge()


def fill(test, config, **changes):
    values = {"model": config.model, "sae": config.sae, "corpus": config.corpus} | changes
    for name, value in values.items():
        test.text_input(key=f"ExtractConfig_{name}").set_value(value)
    test.number_input(key="ExtractConfig_tokens").set_value(3000)
    return test.run()


def test_a_form_makes_an_extraction(engine, config):
    test = fill(visit(), config)
    press(test, "Start")
    wait_for_job()
    test.run()
    with session(engine) as work:
        row = work.exec(select(Extraction)).one()
    assert row.state == "done" and row.tokens >= 3000
    assert row.name in unescaped(words(visit(x=row.id)))


def test_an_estimate_stores_nothing(engine, config):
    test = press(fill(visit(), config), "Estimate first")
    assert "tokens/s" in test.info[0].value
    with session(engine) as work:
        assert not work.exec(select(Extraction)).all()


def test_what_is_wrong_is_said_and_can_be_closed(engine, config):
    test = press(fill(visit(), config, sae="no/such-sae"), "Start")
    wait_for_job()
    test.run()
    assert "no/such-sae" in test.error[0].value.replace("\\", "")
    press(test, "Close")
    assert not test.error and any(button.label == "Set up the demo" for button in test.button)


def test_a_stopped_extraction_goes_on(engine, config):
    held, stopped = threading.Event(), threading.Event()

    def job(progress):
        from mistudio.extract.pipeline import extract

        def slowly(step, fraction, detail):
            if step == "Running model and SAE":
                held.set()
                assert stopped.wait(30)
            progress(step, fraction, detail)

        return extract(engine, config, slowly)

    background.start("Extraction", job)
    assert held.wait(30)
    test = visit()
    assert "goes on in the background" in words(test)
    press(test, "Cancel")
    stopped.set()
    wait_for_job()
    test.run()
    press(test, "Close")
    with session(engine) as work:
        row = work.exec(select(Extraction)).one()
    assert row.state == "cancelled"
    assert "is unfinished" in words(test)
    press(test, "Go on")
    wait_for_job()
    with session(engine) as work:
        assert work.exec(select(Extraction)).one().state == "done"
