"""What we export for Neuronpedia has the columns its importer needs and comes back whole; its own exports are read."""

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mistudio.errors import ExchangeError
from mistudio.exchange.features import FeatureImportConfig
from mistudio.exchange.imports import import_features
from mistudio.exchange.neuronpedia_export import CREATOR, export_neuronpedia
from mistudio.store import Label, Score, session
from mistudio.store.examples import load_examples, load_vocabulary
from mistudio.store.extractions import get_extraction
from mistudio.store.features import get_feature, list_features
from mistudio.store.labels import add_label, edit_label, judge_label
from mistudio.store.scores import add_score
from tests.exchange.test_features import ANY, rows

SOURCE = "20-some-res-16k"
MODEL = {"modelId": "gemma-2-2b", "layer": SOURCE}
FEATURE = MODEL | {"index": "7", "maxActApprox": 12.5, "frac_nonzero": 0.002, "hookName": "blocks.20.hook_mlp_out",
                   "freq_hist_data_bar_heights": [5.0, 3.0, 1.0], "freq_hist_data_bar_values": [1.0, 2.0, 3.0],
                   "pos_str": [" a"], "pos_values": [1.5], "neg_str": [" b"], "neg_values": [-1.0], "vector": []}
ACTIVATION = MODEL | {"index": "7", "tokens": ["<bos>", " court", " of", " law"], "values": [0.0, 12.5, 0.25, 3.0],
                      "maxValue": 12.5, "minValue": 0.0, "maxValueTokenIndex": 1, "binContains": -1.0, "binMin": -1.0,
                      "binMax": 12.5, "dataIndex": None}
EXPLANATION = MODEL | {"index": "7", "description": "legal terms", "explanationModelName": "gpt-4o-mini",
                       "authorId": "someone", "typeName": "oai_token-act-pair", "embedding": "[0.0, 1.0]"}


def read(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def folder_of(root, **tables):
    source = root / "v1" / "gemma-2-2b" / SOURCE
    for name, batches in tables.items():
        (source / name).mkdir(parents=True)
        for number, batch in enumerate(batches):
            text = "".join(f"{json.dumps(row)}\n" for row in batch)
            (source / name / f"batch-{number}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return source


def labeled(engine, extraction):
    """Labels of every sort on the first features, and scores of the first."""
    with session(engine) as work:
        ids = [feature.id for feature, _label in list_features(work, extraction, limit=5)]
        first = Label(feature_id=ids[0], text="digits, \"years\"", explanation="why\nso", kind="token", origin="llm",
                      provider="openai", model="gpt-x", author="run 1")
        add_label(work, first)
        for split, value in (("select", 0.95), ("test", 0.75)):
            add_score(work, Score(label_id=0, method="detection", judge="gpt-y", split=split, value=value, n=40), first)
        edit_label(work, ids[1], "by hand", author="ann")
        add_label(work, Label(feature_id=ids[2], text="wrong", origin="llm"))
        judge_label(work, work.get(Label, 3).id, "rejected", author="ann")


def told(engine, extraction):
    """All windows of each feature as text, and its current label."""
    with session(engine) as work:
        vocabulary = load_vocabulary(work, get_extraction(work, extraction).vocabulary_hash)
        found = {}
        for feature, label in list_features(work, extraction, limit=None):
            stored = load_examples(work, feature)
            windows = [] if stored is None else sorted(
                (tuple(vocabulary[token] for token in stored.tokens[row] if token >= 0),
                 stored.activations[row][stored.tokens[row] >= 0].tolist(), int(stored.peak[row]),
                 int(stored.document[row]), int(stored.split[row]), int(stored.source[row]))
                for row in range(len(stored)))
            named = label and label.verdict != "rejected" and (
                label.text, label.explanation, label.kind, label.provider, label.model, label.author)
            found[feature.index] = (windows, named or None, feature.density, feature.max_activation, feature.state,
                                    feature.promoted, feature.suppressed)
        return found


def test_an_export_comes_back_with_the_same_windows_splits_and_labels(engine, toy, tmp_path):
    labeled(engine, toy)
    written = export_neuronpedia(engine, toy, tmp_path)
    assert written.folder == tmp_path / "toy-model" / "0-toy-sae"
    assert (written.features, written.activations, written.explanations) == (12, 11 * 48, 2)
    report = import_features(engine, tmp_path)
    assert (report.features, report.windows, report.labels, report.references) == (12, 528, 2, 0)
    assert told(engine, report.extraction) == told(engine, toy)
    with session(engine) as work:
        copy = get_extraction(work, report.extraction)
        assert (copy.model, copy.hook_point, copy.corpus) == ("toy-model", "layers.0", "planted")
        assert {label.origin for _feature, label in list_features(work, copy.id) if label} == {"import"}
    again = export_neuronpedia(engine, report.extraction, tmp_path / "again")
    assert [path.name for path in again.folder.rglob("*.gz")] == [path.name for path in written.folder.rglob("*.gz")]


def test_every_line_has_every_column_and_names_what_its_importer_knows(engine, toy, tmp_path):
    labeled(engine, toy)
    folder = export_neuronpedia(engine, toy, tmp_path).folder
    tables = {name: read(folder / name / "batch-0.jsonl.gz") for name in ("features", "activations", "explanations")}
    for lines in tables.values():
        assert {tuple(line) for line in lines} == {tuple(lines[0])}
        assert {(line["modelId"], line["layer"]) for line in lines} == {("toy-model", "0-toy-sae")}
        assert all(isinstance(line["index"], str) for line in lines)
        # Its columns of lists and its required ones take no null.
        empty = {"vectorLabel", "dfaMaxValue", "dfaTargetIndex", "logitContributions", "typeName", "embedding",
                 "explanationModelName"}
        assert {name for line in lines for name, value in line.items() if value is None} <= empty
    ids = [line["id"] for name in ("activations", "explanations") for line in tables[name]]
    assert len(set(ids)) == len(ids)
    assert all(line["values"][line["maxValueTokenIndex"]] == line["maxValue"] == max(line["values"])
               and len(line["values"]) == len(line["tokens"]) for line in tables["activations"])
    heights, values = (tables["features"][0][f"freq_hist_data_bar_{name}"] for name in ("heights", "values"))
    assert (heights, values) == ([5, 9, 3], [1.5, 3.0, 6.0])
    first, second = tables["explanations"]
    (score,) = json.loads(first["notes"])["scores"]
    assert (score["method"], score["judge"], score["value"], score["n"]) == ("detection", "gpt-y", 0.75, 40)
    assert (first["explanationModelName"], second["explanationModelName"]) == ("gpt-x", None)
    known = [json.loads(line) for line in (tmp_path / "config" / "explanation_model_type.jsonl").read_text().split("\n")
             if line]
    assert [row["name"] for row in known] == ["gpt-x"]
    about = {name: json.loads((folder / f"{name}.jsonl").read_text())
             for name in ("release", "model", "sourceset", "source")}
    assert about["source"]["setName"] == about["sourceset"]["name"] == tables["features"][0]["sourceSetName"]
    assert about["sourceset"]["releaseName"] == about["release"]["name"]
    assert {row["creatorId"] for row in about.values()} == {CREATOR}


def test_an_export_is_whole_or_not_there(engine, toy, tmp_path):
    export_neuronpedia(engine, toy, tmp_path, creator="me")
    with pytest.raises(ExchangeError, match="exists"):
        export_neuronpedia(engine, toy, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExchangeError, match="file"):
        export_neuronpedia(engine, toy, tmp_path / "file")
    assert not list(tmp_path.rglob("*.part"))


def test_its_own_export_is_read(engine, tmp_path):
    weak = ACTIVATION | {"values": [0.0, 0.5, 0.0, 0.0], "binContains": 0.3, "tokens": ["<bos>", " law", ",", " it"]}
    source = folder_of(
        tmp_path, features=[[FEATURE], [FEATURE | {"index": 3, "frac_nonzero": 0.0, "maxActApprox": 0}]],
        activations=[[weak, ACTIVATION | {"index": 3, "values": [0, 0, 0, 0]}], [ACTIVATION]],
        explanations=[[EXPLANATION, EXPLANATION | {"description": " "}], [EXPLANATION | {"description": "second"}]])
    (source / "source.jsonl").write_text(json.dumps({"id": SOURCE, "dataset": "some/pile", "num_prompts": 1000,
                                                     "num_tokens_in_prompt": 128}))
    report = import_features(engine, tmp_path / "v1", FeatureImportConfig(name="mine"))
    assert (report.features, report.windows, report.labels, report.counted) == (2, 2, 2, 0)
    with session(engine) as work:
        extraction = get_extraction(work, report.extraction)
        assert (extraction.name, extraction.model, extraction.sae) == ("mine", "gemma-2-2b", SOURCE)
        assert (extraction.hook_point, extraction.corpus, extraction.tokens) == ("layers.20.mlp", "some/pile", 128_000)
        feature, label = get_feature(work, extraction.id, 7)
        assert (feature.density, feature.active_tokens, feature.max_activation) == (0.002, 256, 12.5)
        assert feature.histogram == [[0.5, 1.5, 5], [1.5, 2.5, 3], [2.5, 3.5, 1]]
        assert (label.text, label.model, label.author) == ("legal terms", "gpt-4o-mini", "someone")
        found = load_examples(work, feature)
        assert sorted(zip(found.source.tolist(), found.strength().tolist(), strict=True)) == [(0, 12.5), (1, 0.5)]
        dead, _label = get_feature(work, extraction.id, 3)
        assert dead.state == "dead" and load_examples(work, dead) is None


@pytest.mark.parametrize(("tables", "says"), [
    ({"features": [[FEATURE, FEATURE]]}, ["batch-0.jsonl.gz", "line 2", "index", "feature 7"]),
    ({"features": [[FEATURE], [FEATURE]]}, ["batch-1.jsonl.gz", "line 1", "index"]),
    ({"features": [[FEATURE | {"pos_values": []}]]}, ["pos_values"]),
    ({"features": [[FEATURE | {"frac_nonzero": 2}]]}, ["frac_nonzero"]),
    ({"features": [[FEATURE | {"index": "seven"}]]}, ["index"]),
    ({"activations": [[ACTIVATION], [ACTIVATION | {"layer": "21-other"}]]}, ["batch-1", "layer", "21-other"]),
    ({"activations": [[ACTIVATION | {"values": [1.0]}]]}, ["values", "1 numbers for 4 tokens"]),
    ({"activations": [[ACTIVATION | {"values": [-1.0, 0, 0, 0]}]]}, ["values", "negative"]),
    ({"activations": [[{"index": 1}]]}, ["modelId"]),
    ({"activations": [[ACTIVATION]], "explanations": [[EXPLANATION | {"description": None}]]}, ["description"]),
    ({"explanations": [[EXPLANATION]]}, ["v1", "no source"]),
])
def test_a_bad_row_is_named_and_changes_nothing(engine, toy, tmp_path, tables, says):
    folder_of(tmp_path, **tables)
    before = rows(engine)
    with pytest.raises(ExchangeError) as caught:
        import_features(engine, tmp_path / "v1")
    assert all(word in caught.value.message for word in says), caught.value.message
    assert caught.value.hint and rows(engine) == before


def test_two_sources_in_one_folder_are_not_mixed(engine, toy, tmp_path):
    folder_of(tmp_path, features=[[FEATURE]])
    (tmp_path / "v1" / "gemma-2-2b" / "21-other" / "features").mkdir(parents=True)
    with pytest.raises(ExchangeError, match="2 sources: 20-some-res-16k, 21-other"):
        import_features(engine, tmp_path / "v1")


KINDS = {"features": FEATURE, "activations": ACTIVATION, "explanations": EXPLANATION}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture,
                                                                 HealthCheck.too_slow])
@given(st.sampled_from(list(KINDS)), st.data())
def test_rows_of_any_sort_are_imported_whole_or_leave_no_trace(engine, kind, data):
    name = data.draw(st.sampled_from(list(KINDS[kind])))
    tables = {each: [[row]] for each, row in KINDS.items()} | {kind: [[KINDS[kind] | {name: data.draw(ANY)}]]}
    before = rows(engine)
    with tempfile.TemporaryDirectory() as folder:
        folder_of(Path(folder), **tables)
        try:
            report = import_features(engine, folder)
        except ExchangeError as error:
            assert error.message and error.hint and rows(engine) == before
        else:
            assert report.features >= 1 and np.isfinite(report.tokens)
