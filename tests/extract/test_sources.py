"""Every kind of corpus gives its documents, through the code that also reads it from the hub."""

import gzip
import json

import datasets
import pandas
import pytest

from mistudio.errors import CorpusError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus.source import corpus_documents

ROWS = [{"text": f"document number {number}", "id": f"page {number // 2}", "input_ids": [number, number + 1, 5]}
        for number in range(6)]


def documents(corpus, **options):
    return list(corpus_documents(ExtractConfig(model="m", sae="s", corpus=str(corpus), **options)))


def write_jsonl(path, rows):
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


def write_parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame(rows).to_parquet(path)
    return path


def write_saved(path, rows):
    datasets.Dataset.from_list(rows).save_to_disk(path)
    return path


WRITERS = {
    "jsonl": lambda folder, rows: write_jsonl(folder / "rows.jsonl", rows),
    "gzipped jsonl": lambda folder, rows: write_jsonl(folder / "rows.jsonl.gz", rows),
    "parquet": lambda folder, rows: write_parquet(folder / "rows.parquet", rows),
    "folder of jsonl": lambda folder, rows: write_jsonl(folder / "set" / "train.jsonl", rows).parent,
    "folder of parquet": lambda folder, rows: write_parquet(folder / "set" / "data" / "train-0.parquet",
                                                            rows).parent.parent,
    "saved to disk": lambda folder, rows: write_saved(folder / "saved", rows),
}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    return lambda rows: WRITERS[request.param](tmp_path, rows)


def test_rows_of_text_are_documents_in_order(write):
    found = documents(write(ROWS))
    assert [document.text for document in found] == [row["text"] for row in ROWS]
    assert len({document.name for document in found}) == len(ROWS)
    assert all(document.tokens is None for document in found)


def test_a_column_of_ids_names_the_documents(write):
    assert [document.name for document in documents(write(ROWS), document_column="id")] == [row["id"] for row in ROWS]


def test_rows_of_tokens_are_found_or_asked_for(write):
    corpus = write([{"input_ids": row["input_ids"], "attention_mask": [1, 1, 0]} for row in ROWS])
    for options in ({}, {"tokens_column": "input_ids"}):
        assert [document.tokens.tolist() for document in documents(corpus, **options)] == [
            row["input_ids"][:2] for row in ROWS]


def test_text_goes_before_tokens_unless_asked(write):
    corpus = write(ROWS)
    assert documents(corpus)[2].text == ROWS[2]["text"]
    assert documents(corpus, tokens_column="input_ids")[2].tokens.tolist() == ROWS[2]["input_ids"]


def test_empty_cells_are_empty_documents(write):
    assert [document.text for document in documents(write([{"text": "one"}, {"text": None}, {"text": ""}]))] == [
        "one", "", ""]


@pytest.mark.parametrize(("rows", "options", "says", "hint"), [
    ([{"content": "x"}], {}, "no column 'text'; it has: content", "--text-column"),
    ([{"text": "x"}], {"tokens_column": "ids"}, "no column 'ids'", "--tokens-column"),
    ([{"text": "x"}], {"document_column": "url"}, "no column 'url'", "--document-column"),
    ([{"text": 5}], {}, "holds int, not text", "--text-column"),
    ([{"text": "x", "ids": ["a"]}], {"tokens_column": "ids"}, "no list of token ids", "--text-column"),
    ([{"text": "x", "ids": [0.5]}], {"tokens_column": "ids"}, "no list of token ids", "--text-column"),
])
def test_wrong_columns_are_a_message(write, rows, options, says, hint):
    with pytest.raises(CorpusError, match=says) as caught:
        documents(write(rows), **options)
    assert hint in caught.value.hint


def test_a_data_set_has_subsets_and_splits(tmp_path):
    write_jsonl(tmp_path / "en" / "train.jsonl", [{"text": "english"}])
    write_jsonl(tmp_path / "en" / "test.jsonl", [{"text": "english test"}])
    write_jsonl(tmp_path / "de" / "train.jsonl", [{"text": "deutsch"}])
    (tmp_path / "README.md").write_text("\n".join((
        "---", "configs:", "- config_name: en", "  data_files:", "  - {split: train, path: en/train.jsonl}",
        "  - {split: test, path: en/test.jsonl}", "- config_name: de", "  data_files: de/train.jsonl", "---", "")))
    assert [document.text for document in documents(f"{tmp_path}:en")] == ["english"]
    assert [document.text for document in documents(f"{tmp_path}:en", corpus_split="test")] == ["english test"]
    assert [document.text for document in documents(f"{tmp_path}:de")] == ["deutsch"]
    for wrong in ({"corpus": tmp_path}, {"corpus": f"{tmp_path}:fr"},
                  {"corpus": f"{tmp_path}:en", "corpus_split": "nothing"}):
        with pytest.raises(CorpusError, match="cannot be read") as caught:
            documents(**wrong)
        assert "--corpus-split" in caught.value.hint


def test_a_data_set_is_read_no_further_than_needed(tmp_path):
    write_jsonl(tmp_path / "train-0.jsonl", ROWS)
    (tmp_path / "train-1.jsonl").write_text("this is no JSON\n")
    rows = corpus_documents(ExtractConfig(model="m", sae="s", corpus=str(tmp_path)))
    assert [next(rows).text for _row in ROWS] == [row["text"] for row in ROWS]
    with pytest.raises(CorpusError):
        next(rows)


@pytest.mark.parametrize(("name", "data", "says"), [
    ("rows.jsonl", b'{"text": "x"}\n{"text": \n', "Line 2 of .* not one JSON object"),
    ("rows.jsonl", b'["x"]\n', "Line 1 of .* no JSON object"),
    ("rows.jsonl", "caf\xe9\n".encode("latin-1"), "not UTF-8"),
    ("rows.jsonl.gz", b"this is no gzip", "cannot be read"),
    ("rows.parquet", b"this is no parquet", "cannot be read as Parquet"),
    ("set/train.jsonl", b"neither\nof these\n", "cannot be read"),
    ("set/train.parquet", b"this is no parquet", "cannot be read"),
])
def test_broken_files_are_a_message(tmp_path, name, data, says):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=says) as caught:
        documents((tmp_path / name).parent if name.startswith("set/") else tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize(("corpus", "says"), [
    ("/no/such/folder", "does not exist"), ("missing.jsonl", "does not exist"), ("../missing", "does not exist"),
    ("no-such/data-set-here", "no-such/data-set-here"), ("no-such/data-set-here:subset", "no-such/data-set-here"),
])
def test_a_corpus_that_is_nowhere_is_a_message(corpus, says):
    with pytest.raises(CorpusError, match=says) as caught:
        documents(corpus)
    assert caught.value.hint
