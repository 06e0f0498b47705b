"""Fuzz of what reads text from outside: replies, imports, corpora, batches, addresses, and what is searched for."""

import gzip
import json
import random
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from sqlalchemy import Engine

from mistudio.batch.replies import read_line
from mistudio.exchange.imports import import_features
from mistudio.exchange.labels import import_file
from mistudio.exchange.neuronpedia_export import export_neuronpedia
from mistudio.exchange.rows import COLUMNS, LabelRow, read_rows, write_rows
from mistudio.extract.corpus.records import Columns, jsonl_documents, parquet_documents
from mistudio.extract.corpus.text import text_documents
from mistudio.label.answer import KINDS, parse_reply
from mistudio.label.selection import parse_indices
from mistudio.score.judge import parse_verdicts
from mistudio.search.query import search
from mistudio.store import Label, session
from mistudio.store.features import FeatureFilter, get_feature, list_features
from mistudio.store.labels import add_label
from mistudio.ui import filters
from tests.hostile.mutations import broken_bytes, broken_json, json_bytes
from tests.hostile.strings import ALL, FORMULAS

REPLIES = (
    '{"label": "closing brackets", "explanation": "Brackets that close a call.", "kind": "code", "confidence": 0.9}',
    "```json\n{'label': 'the \"def\" keyword', 'kind': 'code',}\n```",
    '<think>Is it {"label": "x"}?</think>Here: {"answer": {"label": "x", "explanation": "y"}} Good?',
    '{"answers": [{"window": 1, "fits": true}, {"window": 2, "fits": false}]}',
    "I'm sorry, but I can't help with that.", "", "[1, 2, {]}")
FEATURES = (
    {"index": 3, "tokens": [" the", "def", "\n"], "activations": [0.0, 2.5, 0.5], "document": "a", "source": "top"},
    {"index": 3, "density": 0.01, "active_tokens": 10, "max_activation": 2.5, "histogram": [[0.0, 1.0, 3]],
     "promoted": [["(", 1.5]], "label": "def", "explanation": "a keyword"},
    {"tokens": [" the", " of"], "activations": {"3": [0.0, 1.0]}, "document": "b"})
BATCH = {"id": "b", "custom_id": "run1-0123abcd-5-label-0123456789abcdef", "response": {"status_code": 200, "body": {
    "choices": [{"message": {"content": REPLIES[0]}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}}}}
CORPUS = {"text": "The court ruled.", "input_ids": [1, 2, 3], "attention_mask": [1, 1, 0], "id": "a"}
ADDRESS = ("labels=approved&states=live%2Crare&text=court&kind=code&origin=llm&provider=openai&min_density=0.1&"
           "max_density=0.5&min_activation=1&max_activation=9&score_above=0.1&score_below=0.9&starred=True")


def mixed(by: random.Random, some: Iterable[str]) -> str:
    """A real text with broken characters, or pieces of hostile ones."""
    text = by.choice(tuple(some))
    if by.random() < 0.6:
        return broken_bytes(by, text.encode("utf-8", "surrogatepass")).decode("utf-8", by.choice(("ignore", "replace")))
    pieces = [by.choice((by.choice(ALL), text, "".join(map(chr, by.choices(range(0x3000), k=5)))))
              for _piece in range(by.randrange(1, 5))]
    return by.choice(("", " ", "\n")).join(pieces)


def reply(by: random.Random) -> None:
    """A reply to a labeler's or judge's question."""
    text = mixed(by, REPLIES)
    if by.random() < 0.5:
        parse_verdicts(text, 2)
    else:
        answer = parse_reply(text)
        assert 0 < len(answer.label.split()) <= 8 and answer.kind in (*KINDS, "") and "\n" not in answer.label


def batch_line(by: random.Random) -> None:
    """A line of a response file."""
    data = json_bytes(by, broken_json(by, BATCH))
    read_line(data if by.random() < 0.7 else broken_bytes(by, data))


def label_file(by: random.Random) -> None:
    """A file of labels; formulas in cells come back as they went."""
    form = by.choice(("csv", "jsonl"))
    row = LabelRow(feature=by.randrange(12), label=by.choice(FORMULAS).strip() or "x", explanation=by.choice(FORMULAS))
    data = "".join(write_rows([row], form)).encode()
    assert [found for _number, found in read_rows(BytesIO(data), form)] == [row]
    list(read_rows(BytesIO(_label_file(by, data, form)), form))


def _label_file(by: random.Random, data: bytes, form: str) -> bytes:
    if form == "jsonl" and by.random() < 0.7:
        return json_bytes(by, broken_json(by, json.loads(data)))
    if form == "csv" and by.random() < 0.5:
        row = [by.choice((by.choice(ALL), "1")) for _column in COLUMNS]
        return data + ",".join(f'"{cell}"' if by.random() < 0.8 else cell for cell in row).encode("utf-8", "ignore")
    return broken_bytes(by, data)


def corpus_file(by: random.Random, folder: Path) -> None:
    """Documents of a JSONL, Parquet or text file."""
    columns = Columns(document="id" if by.random() < 0.3 else None, tokens="input_ids" if by.random() < 0.3 else None)
    kind = by.randrange(3)
    path = folder / ("corpus.jsonl", "corpus.parquet", "corpus.txt")[kind]
    if kind == 1:
        path.write_bytes(broken_bytes(by, _parquet(folder)))
        found = parquet_documents(path, columns)
    else:
        path.write_bytes(json_bytes(by, broken_json(by, CORPUS)) + b"\n" + broken_bytes(by, json_bytes(by, CORPUS)))
        found = jsonl_documents(path, columns) if kind == 0 else text_documents(path)
    for document in found:
        assert isinstance(document.name, str) and (document.tokens is None or document.tokens.ndim == 1)


def _parquet(folder: Path) -> bytes:
    path = folder / "real.parquet"
    if not path.exists():
        import pyarrow as pa
        import pyarrow.parquet as parquet

        parquet.write_table(pa.table({name: [held] for name, held in CORPUS.items()}), path)
    return path.read_bytes()


class Stored:
    """What needs a database: imports, search, filters and the addresses that hold them."""

    def __init__(self, engine: Engine, extraction: int, folder: Path):
        self.engine, self.extraction, self.folder = engine, extraction, folder
        with session(engine) as work:
            for index, text in enumerate(("closing brackets", "=SUM(A1)", "<script>", "c++ 'quoted'", "日本", "-")):
                feature, _label = get_feature(work, extraction, index)
                add_label(work, Label(feature_id=feature.id, text=text, explanation="why \\ % _", origin="llm"))
        export_neuronpedia(engine, extraction, folder / "real", FeatureFilter(indices=(0, 5)))
        source = next(path.parent for path in (folder / "real").glob("*/*/features"))
        self.source = {path.relative_to(source).as_posix(): path.read_bytes()
                       for path in sorted(source.rglob("*")) if path.is_file()}

    def labels(self, by: random.Random) -> None:
        """A whole import of a label file."""
        form = by.choice(("csv", "jsonl"))
        row = LabelRow(feature=by.randrange(12), label=by.choice(ALL).replace("\0", "").strip()[:2000] or "x",
                       created_at="2026-01-02T03:04:05Z", verdict="approved")
        data = _label_file(by, "".join(write_rows([row], form)).encode(), form)
        import_file(self.engine, self.extraction, BytesIO(data), form)

    def features(self, by: random.Random) -> None:
        """A whole import of a features file."""
        lines = [json_bytes(by, broken_json(by, real) if by.random() < 0.4 else real) for real in FEATURES]
        data = b"\n".join(lines)
        data = broken_bytes(by, data) if by.random() < 0.3 else data
        packed = by.random() < 0.3
        path = self.folder / ("found.jsonl.gz" if packed else "found.jsonl")
        data = gzip.compress(data, 1) if packed else data
        path.write_bytes(broken_bytes(by, data) if packed and by.random() < 0.5 else data)
        import_features(self.engine, path)

    def neuronpedia(self, by: random.Random) -> None:
        """A whole import of a Neuronpedia folder."""
        place = self.folder / "source"
        broken = by.choice(list(self.source))
        for name, data in self.source.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(_batch(by, data) if name == broken else data)
        import_features(self.engine, place)

    def query(self, by: random.Random) -> None:
        """The search box, and Browse's box of words."""
        text = mixed(by, ("closing brackets", '"quoted words" and more', "c++ code", "日本 -"))
        if by.random() < 0.5:
            search(self.engine, self.extraction, text, meaning=False)
        else:
            self._list(FeatureFilter(text=text))

    def address(self, by: random.Random) -> None:
        """What stands in a page's address."""
        if by.random() < 0.2:
            parse_indices(mixed(by, ("0-99,205", "1, 2; 3")), 300)
            return
        wanted = filters.from_url(mixed(by, (ADDRESS, "labels=labeled", "score_above=0.5")))
        filters.in_words(wanted)
        assert filters.from_url(filters.to_url(wanted)).as_dict() == wanted.as_dict()
        self._list(wanted)

    def _list(self, wanted: FeatureFilter) -> None:
        with session(self.engine) as work:
            list_features(work, self.extraction, wanted, limit=5)


def _batch(by: random.Random, data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b") or by.random() < 0.2:
        return broken_bytes(by, data)
    lines = gzip.decompress(data).splitlines()
    at = by.randrange(len(lines))
    lines[at] = json_bytes(by, broken_json(by, json.loads(lines[at])))
    return gzip.compress(b"\n".join(lines), 1)
