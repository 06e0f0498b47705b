"""Distill on the Label page: too few labels, start, progress, cancel, resume, the verdict, and the picker after it."""

import threading

import pytest

from mistudio import background
from mistudio.distill.config import DistillConfig
from mistudio.distill.job import distill
from mistudio.label import adapters
from mistudio.store import session
from mistudio.store.features import get_feature
from tests.pages import html, press, visit, wait_for_job, words
from tests.toy import add_toy_extraction


def open_form(base="", **values):
    test = visit("label", job="Distill")
    if base:
        test.text_input(key="DistillConfig_base").set_value(base)
        for name, value in values.items():
            test.number_input(key=f"DistillConfig_{name}").set_value(value)
    return test.run()


def button(test, label):
    return next(found for found in test.button if found.label == label)


def test_too_few_labels_are_said_before_the_start(engine, data_dir):
    add_toy_extraction(engine)
    test = open_form()
    assert "0 approved labels" in words(test) and "30 are the fewest" in test.info[0].value
    assert button(test, "Distill").disabled
    assert not any("Adapters" in found.value for found in test.subheader)


def test_from_labels_to_a_verdict_and_into_the_picker(engine, labeled, base):
    test = open_form(base, epochs=4, learning_rate=5e-2, batch_size=4, rank=8)
    assert "36 approved labels" in words(test) and "10 held out" in words(test)
    assert button(test, "Distill").disabled and "Name the adapter" in words(test)
    test.text_input(key="adapter_name").set_value("No Name").run()
    assert "cannot be the name" in press(test, "Distill").error[0].value
    test.text_input(key="adapter_name").set_value("mine").run()
    press(test, "Distill")
    wait_for_job()
    test.run()
    assert any("Better" in found.value for found in test.success) and not test.error
    assert any(found.label == "**embedded:mine** · better" for found in test.expander)
    table = test.dataframe[0].value
    assert list(table.columns)[1:] == ["Before: the base model without an adapter", "After: embedded:mine"]
    assert list(table.iloc[0]) == ["Similarity to the label", "0.000", "1.000"]
    test = visit("review", queue="Unlabeled", f=38)
    test.selectbox(key="adapter").select("mine").run()
    assert "embedded:mine (better)" in test.selectbox(key="adapter").options
    press(test, "Label it")
    with session(engine) as work:
        label = get_feature(work, labeled, 38)[1]
    assert (label.text, label.provider, label.model) == ("a", "embedded", "mine")
    assert "Labeled by embedded:mine" in html(test)
    # Gone while it was chosen: the page falls back to what there is.
    adapters.remove_adapter("mine")
    assert not test.run().exception


def test_cancel_and_resume_from_the_page(engine, labeled, base):
    held, go_on = threading.Event(), threading.Event()

    def job(progress):
        def slowly(step, fraction, detail):
            if step == "Training":
                held.set()
                assert go_on.wait(60)
            progress(step, fraction, detail)

        distill(engine, "mine", DistillConfig(base=base, epochs=2, batch_size=26, rank=2), progress=slowly)

    background.start("Distilling mine", job)
    assert held.wait(60)
    test = visit("label", job="Distill")
    assert "Distilling mine" in test.sidebar.get("progress")[0].text, "every page shows it"
    assert any("training" in found.label for found in test.expander)
    press(test, "Cancel")
    go_on.set()
    wait_for_job()
    press(test.run(), "Close")
    assert "Stopped before its end" in words(test)
    press(test, "Resume")
    wait_for_job()
    assert "Not better" in test.run().warning[0].value.replace("\\", "")
    press(test, "Remove")
    assert adapters.list_adapters() == []


@pytest.mark.parametrize("what", ["card.json", "settings.json"])
def test_a_damaged_folder_breaks_no_page(engine, labeled, data_dir, what):
    folder = adapters.folder_of("odd")
    folder.mkdir(parents=True)
    (folder / what).write_text("{")
    test = open_form()
    assert not test.error and any("embedded:odd" in found.label for found in test.expander)
    press(test, "Remove")
    assert not folder.exists()
