"""Home manages extractions: rename, delete, and compare their labels. Recording mode."""

import pytest

from mistudio import background
from mistudio.settings import settings
from mistudio.store import Extraction, Label, RunItem, session
from mistudio.store.extractions import list_extractions
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label
from mistudio.store.runs import create_run
from tests.pages import html, visit, wait_for_job, words
from tests.pages.test_browse import name
from tests.toy import add_toy_extraction

MANAGE, COMPARE = "Manage", "Compare"


@pytest.fixture(autouse=True)
def no_job_left():
    yield
    wait_for_job()
    background.acknowledge()


def metrics(test):
    return {metric.label: metric.value for metric in test.metric}


def labels_by_run(engine, extraction, texts, **config):
    """A labeling run that gave these features, by index, these labels."""
    with session(engine) as work:
        ids = [get_feature(work, extraction, index)[0].id for index in texts]
        run = create_run(work, extraction, config, [
            {"feature_id": feature_id, "state": "done", "reason_kind": "", "reason": ""} for feature_id in ids])
        run.state = "done"
        for feature_id, text in zip(ids, texts.values(), strict=True):
            label = Label(feature_id=feature_id, text=text, origin="llm", run_id=run.id, **config)
            add_label(work, label)
            work.get_one(RunItem, (run.id, feature_id)).label_id = label.id
        return run.id


def test_an_extraction_gets_another_name(engine, toy):
    test = visit(view=MANAGE)
    test.text_input(key=f"name-{toy}").set_value("layer 9 of the demo")
    test.button(key=f"save-{toy}").click().run()
    assert not test.exception and test.title[0].value == "layer 9 of the demo"


def test_a_name_that_is_taken_is_refused(engine, toy):
    other = add_toy_extraction(engine)
    with session(engine) as work:
        work.get_one(Extraction, other).name = "mine"
    test = visit(view=MANAGE)
    test.text_input(key=f"name-{toy}").set_value("mine")
    test.button(key=f"save-{toy}").click().run()
    assert "Another extraction is called" in test.error[0].value


def test_deleting_asks_for_the_name_and_says_what_was_freed(engine, toy):
    other = add_toy_extraction(engine, features=40)
    with session(engine) as work:
        work.get_one(Extraction, other).name = "the second"
    test = visit(x=other, view=MANAGE)
    assert test.button(key=f"for-good-{other}").disabled and "also those written by people" in words(test)
    test.text_input(key=f"typed-{other}").set_value("the second").run()
    assert not test.button(key=f"for-good-{other}").disabled and test.button(key=f"for-good-{toy}").disabled
    test.button(key=f"for-good-{other}").click().run()
    wait_for_job()
    test.run()
    assert test.query_params["x"] == str(toy) and not test.exception
    said = test.success[0].value.replace("\\", "")
    assert "Deleting the second has ended." in said and "of disk space are free again" in said
    with session(engine) as work:
        assert [found.id for found in list_extractions(work)] == [toy]


def test_an_extraction_with_a_run_is_not_deleted(engine, toy):
    with session(engine) as work:
        create_run(work, toy, {}, [])
    test = visit(view=MANAGE)
    test.text_input(key=f"typed-{toy}").set_value("toy").run()
    test.button(key=f"for-good-{toy}").click().run()
    assert "of this extraction is queued" in test.error[0].value
    with session(engine) as work:
        assert list_extractions(work)[0].state == "done"


def test_labels_of_two_runs_stand_side_by_side(engine, toy):
    labels_by_run(engine, toy, {0: "digits", 1: "<b>keywords</b>", 2: "brackets"}, provider="openai", model="small")
    labels_by_run(engine, toy, {0: "digits", 1: "Python keywords"}, provider="openai", model="large")
    test = visit(view=COMPARE, first="Run 1: openai small", second="Run 2: openai large")
    assert metrics(test)["Labeled in both"] == "2" and metrics(test)["With the same text"] == "1"
    page = html(test)
    assert "&lt;b&gt;keywords&lt;/b&gt;" in page and "Python keywords" in page and "brackets" not in page
    assert f"browse?x={toy}&amp;f=1" in page
    test.segmented_control(key="show").set_value("Only the first").run()
    assert "brackets" in html(test) and "Python keywords" not in html(test)


def test_another_extraction_is_what_is_compared_with_first(engine, toy):
    other = add_toy_extraction(engine)
    name(engine, toy, 0, "digits")
    name(engine, other, 0, "numbers")
    test = visit(x=toy, view=COMPARE)
    page = html(test)
    assert "digits" in page and "numbers" in page and not test.warning
    with session(engine) as work:
        work.get_one(Extraction, other).sae_hash = "1" * 64
    test = visit(x=toy, view=COMPARE, **{"with": f"toy ({other})"})
    assert "two different SAEs" in test.warning[0].value


def test_with_one_set_of_labels_it_says_what_to_do(engine, toy):
    test = visit(view=COMPARE)
    assert "only one set of labels" in test.info[0].value and not test.metric


def test_recording_mode_makes_type_larger_and_hides_the_menu(engine, toy, monkeypatch):
    assert "stMainMenu" not in html(visit())
    monkeypatch.setenv("MISTUDIO_RECORDING", "1")
    settings.cache_clear()
    page = html(visit())
    assert "html {font-size: 18px" in page and "stMainMenu" in page
