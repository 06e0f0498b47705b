"""Features that were computed elsewhere can be browsed, labeled and scored; a bad file changes nothing."""

import gzip
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel, func, select

from mistudio.errors import ExchangeError
from mistudio.exchange.features import FeatureImportConfig
from mistudio.exchange.imports import import_features
from mistudio.extract.corpus import document_hash, split_of
from mistudio.files import LONGEST_LINE, MOST_SMALL
from mistudio.jobs.scoring import start_scores
from mistudio.jobs.work import work_run
from mistudio.score.config import ScoreConfig
from mistudio.search.query import search
from mistudio.store import session
from mistudio.store.examples import SPLITS, load_examples, load_references, load_vocabulary
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, get_feature, list_features
from tests.label.helpers import config_for, counts, labels_of, run_all
from tests.servers.openai_server import OpenAIServer

WORDS = [" the", " of", " and", " to", " in", " it", " was", "\n"]
CONCEPTS = {3: " dollars", 8: " judge", 40: "def"}


def window(index, document, strength=1.0, **more):
    random = np.random.default_rng([index, document])
    tokens = list(random.choice(WORDS, 12))
    tokens[5] = CONCEPTS[index]
    return {"index": index, "tokens": tokens, "activations": [0.0] * 5 + [strength, strength / 4] + [0.0] * 5,
            "document": f"doc {document}"} | more


def write(folder, lines, name="found.jsonl"):
    path = folder / name
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def planted(windows=40, silent=40):
    random = np.random.default_rng(0)
    lines = [window(index, number, 1.0 + number / 10, source="top" if number % 2 else "random")
             for number in range(windows) for index in CONCEPTS]
    lines += [{"tokens": list(random.choice(WORDS, 12)), "activations": {"3": [0.0, 2.0] + [0.0] * 10} if not number
               else {}, "document": f"silent {number}"} for number in range(silent)]
    return lines


def rows(engine):
    with session(engine) as work:
        return {name: work.exec(select(func.count()).select_from(table)).one()
                for name, table in SQLModel.metadata.tables.items()}


def test_windows_arrive_as_they_were_given_in_any_order(engine, tmp_path):
    lines = planted()
    shuffled = [lines[at] for at in np.random.default_rng(1).permutation(len(lines))]
    report = import_features(engine, write(tmp_path, shuffled, "found.jsonl.gz"), FeatureImportConfig(
        model="m", hook_point="layers.2", window=16))
    assert (report.features, report.windows + report.left_out, report.references) == (3, 120, 40)
    given = {(line["index"], tuple(line["tokens"]), line["document"]): line for line in lines if "index" in line}
    with session(engine) as work:
        extraction = get_extraction(work, report.extraction)
        assert (extraction.model, extraction.sae, extraction.hook_point) == ("m", "found", "layers.2")
        assert (extraction.state, extraction.d_sae, extraction.tokens) == ("done", 41, 160 * 12)
        vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
        documents = {document_hash(f"doc {number}"): f"doc {number}" for number in range(40)}
        for feature, _label in list_features(work, extraction.id, limit=None):
            found = load_examples(work, feature)
            assert feature.state == "live" and feature.top_tokens[0][0] == CONCEPTS[feature.index]
            assert feature.max_activation == pytest.approx(4.9) and feature.histogram == []
            assert feature.active_tokens == 80 + (feature.index == 3)
            assert feature.density == feature.active_tokens / extraction.tokens
            for row in range(len(found)):
                tokens = tuple(vocabulary[token] for token in found.tokens[row] if token >= 0)
                line = given[feature.index, tokens, documents[int(found.document[row])]]
                assert found.activations[row][:12].tolist() == np.float16(line["activations"]).tolist()
                assert not found.activations[row][12:].any() and found.peak[row] == 5
                assert found.split[row] == split_of(int(found.document[row]))
                assert line["source"] == ("top", "random")[found.source[row]]


def test_what_is_imported_is_labeled_found_and_scored(engine, tmp_path):
    report = import_features(engine, write(tmp_path, planted()))
    with OpenAIServer() as server:
        run_id, state = run_all(engine, report.extraction, config_for(server))
        assert (state, counts(engine, run_id)["done"]) == ("done", 3)
        assert any(" dollars" in json.dumps(request) for request in server.requests)
    labels = labels_of(engine, report.extraction)
    assert all(labels) and search(engine, report.extraction, labels[0], meaning=False)
    scores = start_scores(engine, report.extraction, ScoreConfig(methods=("embedding",)), FeatureFilter())
    assert work_run(engine, scores) == "done" and counts(engine, scores)["done"] == 3


def test_statistics_labels_and_silence_come_from_the_file(engine, tmp_path):
    lines = [
        {"index": 0, "density": 0.2, "active_tokens": 2000, "max_activation": 9.5, "mean_activation": 1.5,
         "histogram": [[0, 1, 5], [1, 2.5, 7]], "promoted": [[" a", 1.5]], "suppressed": [[" b", -2]],
         "label": " prices ", "explanation": "in dollars"},
        {"index": 0, "label": "money"},
        {"index": 1, "density": 0.0}, {"index": 2, "density": 0.001, "active_tokens": 4}, {"index": 3},
        {"index": 0, "tokens": ["a", "b"], "activations": [0, 1e9]},
        *({"index": index, "tokens": ["c"], "activations": [1e-12 if index == 3 else 0]} for index in range(4)),
        {"tokens": ["d"] * 40, "activations": {"1": [0.0] * 39 + [1.0]}}]
    report = import_features(engine, write(tmp_path, lines))
    assert asdict(report) | {"splits": 0} == {
        "extraction": report.extraction, "features": 4, "windows": 2, "left_out": 0, "splits": 0, "texts": 3,
        "tokens": 43, "references": 2, "labels": 2, "counted": 2}
    with session(engine) as work:
        found = {feature.index: (feature, label) for feature, label in list_features(work, report.extraction)}
        first, label = found[0]
        assert (first.density, first.active_tokens, first.mean_activation) == (0.2, 2000, 1.5)
        assert (first.max_activation, first.histogram[1], first.promoted) == (65504, [1, 2.5, 7], [[" a", 1.5]])
        assert (label.text, label.explanation, label.origin) == ("prices", "in dollars", "import")
        # The second is active after all, whatever its density; of the last nobody counted.
        assert [found[index][0].state for index in range(4)] == ["dense", "live", "rare", "live"]
        assert float(load_examples(work, first).strength()[0]) == 65504
        assert load_examples(work, found[3][0]).strength()[0] > 0
        long, short = sorted(load_references(work, report.extraction), key=lambda window: -(window.tokens >= 0).sum())
        # Cut after 32 tokens, where the second is silent.
        assert [long.active(index) for index in range(4)] == [False] * 4
        assert [short.active(index) for index in range(4)] == [False, False, False, True]


def test_long_texts_are_cut_around_the_peak_and_too_many_windows_are_left_out(engine, tmp_path):
    long = {"index": 3, "tokens": [f"t{at}" for at in range(100)], "activations": [0.0] * 70 + [2.0] + [0.0] * 29}
    path = write(tmp_path, [long, *(window(3, number) for number in range(300)), long])
    report = import_features(engine, path, FeatureImportConfig(window=8))
    assert report.windows <= 38 and report.windows + report.left_out == 301
    with session(engine) as work:
        vocabulary = load_vocabulary(work, get_extraction(work, report.extraction).vocabulary_hash)
        found = load_examples(work, get_feature(work, report.extraction, 3)[0])
        strongest = int(found.strength().argmax())
        assert [vocabulary[token] for token in found.tokens[strongest]] == [f"t{at}" for at in range(66, 74)]
        assert found.peak[strongest] == 4
        assert all((found.split == at).sum() == report.splits[name] for at, name in enumerate(SPLITS))


GOOD = {"index": 0, "tokens": ["a", "b"], "activations": [0.0, 1.0]}


@pytest.mark.parametrize(("lines", "says"), [
    ([], ["no feature"]),
    (["{"], ["line 1", "JSON"]),
    (["[1]"], ["line 1", "object"]),
    ([GOOD, "nonsense"], ["line 2", "JSON"]),
    ([GOOD, GOOD | {"activations": [1.0]}], ["line 2", "activations", "1 numbers for 2 tokens"]),
    ([GOOD, {"index": 1, "tokens": ["a"]}], ["line 2", "activations"]),
    ([GOOD, {"index": 1, "activations": [1.0]}], ["line 2", "activations"]),
    ([GOOD | {"activations": [0.0, -1.0]}], ["activations", "negative", "place 1"]),
    (['{"index": 0, "tokens": ["a"], "activations": [NaN]}'], ["activations", "finite"]),
    (['{"index": 0, "tokens": ["a"], "activations": [Infinity]}'], ["activations", "finite"]),
    ([GOOD | {"activations": [0.0, "1"]}], ["activations.1", "number"]),
    ([GOOD | {"activations": [0.0, True]}], ["activations.1", "number"]),
    ([GOOD | {"tokens": ["a", 5]}], ["tokens.1", "string"]),
    ([GOOD | {"tokens": ["a"] * 5000, "activations": [1.0] * 5000}], ["tokens", "4096"]),
    ([GOOD | {"tokens": [], "activations": []}], ["tokens"]),
    ([GOOD | {"index": -1}], ["index"]), ([GOOD | {"index": "x"}], ["index"]), ([GOOD | {"index": 2**31}], ["index"]),
    ([GOOD | {"source": "best"}], ["source"]),
    ([GOOD | {"density": 1.5}], ["density"]),
    ([GOOD | {"density": 0.1}, GOOD | {"density": 0.1}], ["line 2", "index", "feature 0"]),
    ([GOOD | {"histogram": [[0, 1]]}], ["histogram"]),
    ([GOOD | {"label": " "}], ["label"]),
    ([GOOD | {"label": "a\0b"}], ["label", "NUL"]),
    ([{"tokens": ["a"], "activations": {"x": [1.0]}}], ["activations"]),
    ([{"tokens": ["a"], "activations": {"1": [1.0, 2.0]}}], ["activations", "2 numbers for 1 tokens"]),
    ([{"tokens": ["a"], "activations": [1.0]}], ["activations"]),
    (['{"index": 0, "tokens": ["\\ud800"], "activations": [1.0]}'], ["line 1", "JSON"]),
    ([f'{{"index": {"9" * 5000}}}'], ["line 1"]),
    (["[" * 100_000], ["line 1"]),
])
def test_a_bad_line_is_named_and_changes_nothing(engine, toy, tmp_path, lines, says):
    before = rows(engine)
    with pytest.raises(ExchangeError) as caught:
        import_features(engine, write(tmp_path, lines))
    assert all(word in caught.value.message for word in ("found.jsonl", *says)), caught.value.message
    assert caught.value.hint and len(caught.value.message) < 400
    assert rows(engine) == before


def test_files_that_are_broken_or_hostile_are_named_and_change_nothing(engine, toy, tmp_path):
    before = rows(engine)
    whole = gzip.compress((json.dumps(GOOD) + "\n").encode() * 1000)
    bomb = gzip.compress((b" " * 2**20 + b"\n") * (MOST_SMALL >> 20))
    for content, name, says in ((b"\xff\xfe", "a.jsonl", "UTF-8"), (whole[:-20], "b.jsonl.gz", "cannot be read"),
                                (b"no gzip", "c.jsonl.gz", "cannot be read"), (bomb, "d.jsonl.gz", "grows"),
                                (b" " * (LONGEST_LINE + 1), "e.jsonl", "16 MiB")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ExchangeError, match=says) as caught:
            import_features(engine, tmp_path / name)
        assert name in caught.value.message
    for missing in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(ExchangeError, match=missing.name):
            import_features(engine, missing)
    assert rows(engine) == before


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                   max_leaves=6)
FIELDS = ["index", "tokens", "activations", "document", "source", "density", "active_tokens", "histogram", "promoted",
          "label", "explanation"]
LINES = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=6).map(json.dumps).map(str.encode), st.binary(max_size=40),
    st.builds(lambda name, value: json.dumps(GOOD | {name: value}).encode(), st.sampled_from(FIELDS), ANY))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture,
                                                                  HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=4), st.sampled_from(["found.jsonl", "found.jsonl.gz"]))
def test_lines_of_any_sort_are_imported_whole_or_leave_no_trace(engine, lines, name):
    before = rows(engine)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        text = b"\n".join(lines)
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        try:
            report = import_features(engine, path)
        except ExchangeError as error:
            assert error.message and error.hint and rows(engine) == before
        else:
            with session(engine) as work:
                assert get_extraction(work, report.extraction).state == "done"
                assert len(list_features(work, report.extraction, limit=None)) == report.features > 0
