"""Extractions are listed, renamed, deleted and compared from the shell."""

import io
import sys

from mistudio.store import Label, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label
from mistudio.store.runs import create_run
from tests.shell import as_json, shell
from tests.toy import add_toy_extraction


def name(engine, extraction, index, text):
    with session(engine) as work:
        feature, _label = get_feature(work, extraction, index)
        add_label(work, Label(feature_id=feature.id, text=text, origin="llm"))


def test_extractions_are_renamed_and_listed(engine, toy):
    other = add_toy_extraction(engine)
    shell("rename", other, "the second")
    assert [(row["extraction"], row["name"]) for row in as_json("extractions")] == [(other, "the second"), (toy, "toy")]
    assert "the second" in shell("extractions")[0]
    assert "Another extraction" in shell("rename", toy, "the second", status=1)[1]


def test_deleting_wants_the_name_or_yes(engine, toy, monkeypatch):
    other = add_toy_extraction(engine, features=40)
    monkeypatch.setattr(sys, "stdin", io.StringIO("something else\n"))
    assert "Nothing was deleted" in shell("delete", toy, status=1)[1]
    monkeypatch.setattr(sys, "stdin", io.StringIO("toy\n"))
    assert "of disk space are free again" in shell("delete", toy)[0]
    assert [row["extraction"] for row in as_json("extractions")] == [other]
    with session(engine) as work:
        create_run(work, other, {}, [])
    assert "is queued" in shell("delete", other, "--yes", status=1)[1]


def test_labels_are_compared(engine, toy):
    other = add_toy_extraction(engine)
    for extraction, index, text in ((toy, 0, "digits"), (other, 0, "numbers"), (toy, 1, "code"), (other, 1, "code")):
        name(engine, extraction, index, text)
    out, _err = shell("compare", toy, other)
    assert "2 labeled in both, 1 of them with the same text" in out and "numbers" in out and "code" not in out
    found = as_json("compare", toy, other, "--show", "same")
    assert [(row["first"]["text"], row["alike"]) for row in found["features"]] == [("code", None)]
    assert "names no labels" in shell("compare", "x", other, status=1)[1]
    assert "is nothing to show" in shell("compare", toy, other, "--show", "all", status=1)[1]
