"""What one installation exports, another imports without loss; a bad file changes nothing."""

import csv
import json
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import func, select

from mistudio.errors import ExchangeError
from mistudio.exchange import labels as labels_module
from mistudio.exchange.labels import ImportReport, export_labels, import_file, import_labels
from mistudio.exchange.rows import COLUMNS, ORIGINS, LabelRow, read_rows, write_rows
from mistudio.store import Feature, Label, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, edit_label, judge_label
from tests.toy import add_toy_extraction

KEPT = ("text", "explanation", "kind", "confidence", "origin", "verdict", "verdict_by", "verdict_at", "provider",
        "model", "author", "created_at")
FORMS = ["csv", "jsonl"]


def fill(engine, extraction):
    """Labels of every origin and verdict, with texts that a careless writer would break."""
    texts = ["=SUM(A1)", "'s in let's", "'=quoted", "comma, \"quotes\" and\nlines", "-1 offsets", "emoji 😀 \u2028 x"]
    with session(engine) as work:
        ids = work.exec(select(Feature.id).where(Feature.extraction_id == extraction).order_by(Feature.index)).all()
        for feature_id, text in zip(ids, texts, strict=False):
            add_label(work, Label(feature_id=feature_id, text=text, explanation=" kept \r\n as is ", kind="token",
                                  confidence=0.1 + 0.2, origin="llm", provider="openai", model="gpt", author="run",
                                  created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)))
        judge_label(work, work.get(Feature, ids[1]).label_id, "rejected", author="ann")
        edit_label(work, ids[2], "by hand", "why", author="bob")


def current(engine, extraction):
    with session(engine) as work:
        rows = work.exec(select(Feature.index, Label).join(Label, Feature.label_id == Label.id)
                         .where(Feature.extraction_id == extraction).order_by(Feature.index))
        return {index: tuple(getattr(label, name) for name in KEPT) for index, label in rows}


def labels_stored(engine):
    with session(engine) as work:
        return work.exec(select(func.count()).select_from(Label)).one()


@pytest.mark.parametrize("form", FORMS)
def test_a_fresh_copy_gets_everything_and_a_second_import_adds_nothing(engine, toy, tmp_path, form):
    fill(engine, toy)
    file = tmp_path / f"labels.{form}"
    assert export_labels(engine, toy, file) == 6
    copy = add_toy_extraction(engine)
    assert import_labels(engine, copy, file) == ImportReport(rows=6, added=6)
    assert current(engine, copy) == current(engine, toy)
    stored = labels_stored(engine)
    assert import_labels(engine, copy, file) == ImportReport(rows=6, unchanged=6)
    assert labels_stored(engine) == stored
    export_labels(engine, copy, tmp_path / f"again.{form}")
    assert (tmp_path / f"again.{form}").read_bytes() == file.read_bytes()


def test_the_header_is_stable(engine, toy, tmp_path):
    export_labels(engine, toy, tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text().strip() == (
        "model,hook_point,sae,sae_hash,feature,label,explanation,kind,confidence,origin,verdict,provider,label_model,"
        "author,created_at,verdict_by,verdict_at")


def test_no_cell_starts_a_formula(engine, toy, tmp_path):
    fill(engine, toy)
    export_labels(engine, toy, tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_a_persons_label_outranks_the_file_unless_asked(engine, toy):
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 0)[0].id, "mine", author="me")
    data = b"feature,label,origin\n0,theirs,human\n"
    assert import_file(engine, toy, BytesIO(data), "csv") == ImportReport(rows=1, kept=1)
    assert import_file(engine, toy, BytesIO(data), "csv") == ImportReport(rows=1, kept=1)
    assert labels_stored(engine) == 2 and current(engine, toy)[0][0] == "mine"
    assert import_file(engine, toy, BytesIO(data), "csv", replace_human=True) == ImportReport(rows=1, restored=1)
    assert current(engine, toy)[0][0] == "theirs"


def test_a_foreign_file_needs_two_columns(engine, toy):
    data = BytesIO("\ufeff{\"feature\": 3, \"label\": \"a name\"}\n\n".encode())
    assert import_file(engine, toy, data, "jsonl").added == 1
    text, *_rest, origin = current(engine, toy)[3][:5]
    assert (text, origin) == ("a name", "import")


def test_a_verdict_travels_to_a_label_that_has_none(engine, toy):
    import_file(engine, toy, BytesIO(b"feature,label\n0,x\n"), "csv")
    data = b"feature,label,verdict,verdict_by\n0,x,approved,ann\n"
    assert import_file(engine, toy, BytesIO(data), "csv") == ImportReport(rows=1, judged=1)
    assert import_file(engine, toy, BytesIO(data), "csv") == ImportReport(rows=1, unchanged=1)
    assert current(engine, toy)[0][5:7] == ("approved", "ann")


@pytest.mark.parametrize(("form", "data", "says"), [
    ("csv", b"", ["feature", "label"]),
    ("csv", b"index,label\n0,x\n", ["column feature"]),
    ("csv", b"feature,label\n0,ok\n1,\xff\n", ["UTF-8"]),
    ("csv", b"feature,label\n0,ok\n1,\n", ["Row 2", "label", "empty"]),
    ("csv", b"feature,label\n0,ok\n12,x\n", ["Row 2", "feature", "12"]),
    ("csv", b"feature,label\n0,ok\n-1,x\n", ["Row 2", "column feature"]),
    ("csv", b"feature,label\n0,ok\none,x\n", ["Row 2", "column feature"]),
    ("csv", b"feature,label\n0,ok\n0,again\n", ["Row 2", "row 1"]),
    ("csv", b"feature,label\n0,ok\n1,a,b\n", ["Row 2", "columns"]),
    ("csv", b"feature,label\n0,\"open\n", ["CSV"]),
    ("csv", b"feature,label,confidence\n0,ok,1.5\n", ["Row 1", "column confidence"]),
    ("csv", b"feature,label,origin\n0,ok,alien\n", ["Row 1", "column origin"]),
    ("csv", b"feature,label,created_at\n0,ok,yesterday\n", ["Row 1", "column created_at"]),
    ("csv", b"feature,label,sae_hash\n0,ok,ffff\n", ["Row 1", "column sae_hash"]),
    ("jsonl", b'{"feature": 0, "label": "ok"}\n{"feature": 1,\n', ["Row 2", "JSON"]),
    ("jsonl", b'[1, 2]\n', ["Row 1", "object"]),
    ("jsonl", b'{"feature": 0}\n', ["Row 1", "label"]),
    ("jsonl", b'{"feature": 0, "label": 7}\n', ["Row 1", "column label"]),
    ("jsonl", b'{"feature": 0, "label": "a\\u0000b"}\n', ["Row 1", "column label"]),
    ("jsonl", b'{"feature": 0, "label": "a\\ud800b"}\n', ["Row 1"]),
])
def test_a_bad_file_is_named_and_changes_nothing(engine, toy, form, data, says):
    with pytest.raises(ExchangeError) as caught:
        import_file(engine, toy, BytesIO(data), form)
    assert all(word in caught.value.message for word in says), caught.value.message
    assert caught.value.hint
    assert labels_stored(engine) == 0


def test_files_that_cannot_be_opened_are_named(engine, toy, tmp_path):
    for call, path in ((export_labels, tmp_path / "labels.txt"), (export_labels, tmp_path / "no" / "labels.csv"),
                       (import_labels, tmp_path / "missing.csv"), (import_labels, tmp_path / "labels.xlsx")):
        with pytest.raises(ExchangeError, match=path.name):
            call(engine, toy, path)
    assert list(tmp_path.glob("*.part")) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIME = st.datetimes(timezones=st.just(UTC))
ROWS = st.builds(LabelRow, model=TEXT, feature=st.integers(0, 10**6), label=TEXT.filter(lambda text: text.strip()),
                 explanation=TEXT, kind=TEXT, confidence=st.none() | st.floats(0, 1), author=TEXT,
                 created_at=st.none() | TIME, origin=st.sampled_from(ORIGINS))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROWS, max_size=4), st.sampled_from(FORMS))
def test_reading_gives_back_what_was_written(rows, form):
    data = BytesIO("".join(write_rows(rows, form)).encode())
    assert [row for _number, row in read_rows(data, form)] == rows
    assert json.dumps(COLUMNS)


def test_files_of_more_labels_than_are_read_at_once(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(labels_module, "AT_ONCE", 3)
    extraction = add_toy_extraction(engine)
    data = BytesIO(b"feature,label\n" + b"".join(b"%d,name %d\n" % (index, index) for index in reversed(range(11))))
    assert import_file(engine, extraction, data, "csv") == ImportReport(rows=11, added=11)
    assert export_labels(engine, extraction, tmp_path / "labels.jsonl") == 11
    with (tmp_path / "labels.jsonl").open("rb") as file:
        assert [(row.feature, row.label) for _number, row in read_rows(file, "jsonl")] == [
            (index, f"name {index}") for index in range(11)]
    late = BytesIO(data.getvalue() + b"0,again\n")
    with pytest.raises(ExchangeError, match="already labeled in row 11"):
        import_file(engine, extraction, late, "csv")
