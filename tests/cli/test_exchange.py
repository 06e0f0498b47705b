"""Features and labels go out to folders and files, and features come in, from a shell."""

import json

from tests.cli.test_shell import name
from tests.shell import as_json, shell


def test_features_go_to_neuronpedias_layout_and_come_in_again(engine, toy, tmp_path):
    name(engine, toy, f0="digits of years", f3="court terms")
    folder = tmp_path / "out"
    written = as_json("export", folder, "--format", "neuronpedia", "--creator", "me")
    assert (written["features"], written["activations"], written["explanations"]) == (12, 528, 2)
    _out, err = shell("export", folder, "--format", "neuronpedia", status=1)
    assert "exists" in err
    assert "12 features with 528 windows" in shell("export", tmp_path / "b", "--format", "neuronpedia")[0]
    assert "yaml" in shell("export", tmp_path / "c", "--format", "yaml", status=1)[1]
    out, err = shell("import-features", folder, "--name", "again", "--hook-point", "layers.5")
    assert "Extraction 2: 12 features" in out and "2 labels" in out and "cannot be scored" in out
    assert as_json("features", "--extraction", 2, "--features", "labeled")[0]["label"]["text"] == "digits of years"
    assert " 1984" in shell("show", 0, "--extraction", 2)[0]


def test_a_features_file_comes_in_and_a_bad_one_is_named(database_url, tmp_path):
    lines = [{"index": 4, "tokens": ["a", " b"], "activations": [0, 1.5], "document": f"d{number}"}
             for number in range(9)] + [{"tokens": ["c"], "activations": {}}]
    file = tmp_path / "found.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    report = as_json("import-features", file, "--model", "org/model", "--window", 16)
    assert (report["features"], report["references"], report["counted"]) == (1, 1, 1)
    out, _err = shell("import-features", file)
    assert "density" in out and "1 windows are known" in out
    file.write_text(json.dumps(lines[0] | {"activations": [1]}))
    _out, err = shell("import-features", file, status=1)
    assert "found.jsonl, line 1, field activations" in err
    assert "window" in shell("import-features", file, "--window", 2, status=1)[1]
    assert len(as_json("features")) == 1
