"""An extraction is renamed, or deleted with all that hangs on it and nothing else."""

import pytest
from sqlalchemy import func, inspect, select, text

from mistudio.errors import StoreError
from mistudio.jobs.deleting import delete
from mistudio.store import Extraction, Label, Score, session
from mistudio.store.extractions import list_extractions, rename_extraction
from mistudio.store.features import feature_ids
from mistudio.store.labels import add_label
from mistudio.store.runs import create_run, request_stop
from mistudio.store.scores import add_score
from mistudio.store.tables import LabelVector, Vocabulary
from tests.toy import add_toy_extraction

# Rows that belong to no one extraction.
APART = ("alembic_version", "vocabulary")


def fill(engine, extraction):
    """At least a row in every table."""
    with session(engine) as work:
        ids = feature_ids(work, extraction)
        run = create_run(work, extraction, {}, [{"feature_id": ids[0], "state": "done", "reason_kind": "",
                                                 "reason": ""}])
        run.state = "done"
        label = Label(feature_id=ids[0], text="digits", origin="llm", run_id=run.id)
        add_label(work, label)
        add_score(work, Score(label_id=label.id, method="embedding", value=0.8, n=40), label)
        work.add(LabelVector(label_id=label.id, encoder="tests", vector=b"\0\0"))
        return run.id


def rows(engine):
    with engine.connect() as connection:
        names = [name for name in inspect(engine).get_table_names() if name not in APART and "label_fts_" not in name]
        counts = {name: connection.scalar(select(func.count()).select_from(text(name))) for name in names}
    return {name: count for name, count in counts.items() if count}


def progress(steps):
    return lambda step, fraction, detail: steps.append((step, fraction, detail))


def test_deleting_leaves_the_other_extraction_whole(engine, toy):
    fill(engine, toy)
    alone = rows(engine)
    other = add_toy_extraction(engine, features=30)
    fill(engine, other)
    steps = []
    delete(engine, other, progress(steps))
    assert rows(engine) == alone
    with session(engine) as work:
        assert [found.id for found in list_extractions(work)] == [toy]
        assert work.get(Vocabulary, "toy") is not None, "the other extraction reads it"
    assert [fraction for _step, fraction, _detail in steps] == sorted(fraction for _step, fraction, _detail in steps)


def test_nothing_is_left_of_the_last_one(engine, toy):
    fill(engine, toy)
    delete(engine, toy, progress([]))
    assert rows(engine) == {}
    with session(engine) as work:
        assert work.get(Vocabulary, "toy") is None


def test_the_space_is_given_back(engine, toy):
    other = add_toy_extraction(engine, features=600)
    said = delete(engine, other, progress([]))
    if engine.dialect.name == "sqlite":
        assert "of disk space are free again" in said and not said.startswith("0.0 MB")
    else:
        assert "VACUUM FULL" in said


@pytest.mark.parametrize("state", ["queued", "running", "waiting"])
def test_an_extraction_with_a_run_is_refused_until_the_run_ends(engine, toy, state):
    run_id = fill(engine, toy)
    with session(engine) as work:
        run = create_run(work, toy, {}, [])
        run.state = state
    before = rows(engine)
    with pytest.raises(StoreError, match=state) as caught:
        delete(engine, toy, progress([]))
    assert "cancel" in caught.value.hint.lower() and rows(engine) == before
    with session(engine) as work:
        request_stop(work, run_id + 1, "cancel")
        work.get_one(type(run), run_id + 1).state = "cancelled"
    delete(engine, toy, progress([]))
    assert rows(engine) == {}


def test_a_deletion_that_broke_off_is_gone_on_with(engine, toy):
    def breaks(*_step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delete(engine, toy, breaks)
    with session(engine) as work:
        assert work.get_one(Extraction, toy).state == "deleting"
    delete(engine, toy, progress([]))
    assert rows(engine) == {}


def test_a_name_is_trimmed_and_tells_extractions_apart(engine, toy):
    other = add_toy_extraction(engine)
    with session(engine) as work:
        rename_extraction(work, other, "  layer   9 ")
    with session(engine) as work:
        assert work.get_one(Extraction, other).name == "layer 9"
        for name in ("", "   ", "x" * 121, "layer 9"):
            with pytest.raises(StoreError):
                rename_extraction(work, toy, name)
        rename_extraction(work, other, "layer 9")
