"""Rows of label files: what each column holds, and how CSV and JSONL write it so that reading gives it back.

The columns are a promise to other tools; new ones are only ever added at the end.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mistudio.errors import ExchangeError
from mistudio.files import TooLong, bounded_lines
from mistudio.store.labels import LONGEST_EXPLANATION, LONGEST_LABEL
from mistudio.store.tables import Extraction, Feature, Label

ORIGINS = ("llm", "human", "import", "statistics")
VERDICTS = ("", "approved", "rejected")
FORMS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
# A spreadsheet runs a cell that begins with one of these (the last four are = + - @ of full width); a quote in front
# stops it, and reading takes it off again.
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
LONGEST_LINE = 1 << 20  # bytes
Short = Annotated[str, Field(max_length=500)]
# Databases keep an index of these, in which there is no room for more.
Indexed = Annotated[str, Field(max_length=100)]


class LabelRow(BaseModel):
    """One label of a file. Only ``feature`` and ``label`` must be there."""

    model_config = ConfigDict(extra="ignore")

    model: Short = ""
    hook_point: Short = ""
    sae: Short = ""
    sae_hash: Short = ""
    feature: int = Field(ge=0, lt=2**31)
    label: Annotated[str, Field(max_length=LONGEST_LABEL)]
    explanation: Annotated[str, Field(max_length=LONGEST_EXPLANATION)] = ""
    kind: Indexed = ""
    confidence: float | None = Field(None, ge=0, le=1)
    origin: str = "import"
    verdict: str = ""
    provider: Indexed = ""
    label_model: Short = ""
    author: Short = ""
    created_at: datetime | None = None
    verdict_by: Short = ""
    verdict_at: datetime | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value):
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            raise ValueError("holds a character that cannot be stored (NUL or half of a surrogate pair)")
        return value

    @field_validator("label")
    @classmethod
    def _some_text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty")
        return value.strip()

    @field_validator("origin")
    @classmethod
    def _known_origin(cls, value: str) -> str:
        if value not in ORIGINS:
            raise ValueError(f"{value[:40]!r} is not one of {', '.join(ORIGINS)}")
        return value

    @field_validator("verdict")
    @classmethod
    def _known_verdict(cls, value: str) -> str:
        if value not in VERDICTS:
            raise ValueError(f"{value[:40]!r} is not approved, rejected or nothing")
        return value

    @field_validator("created_at", "verdict_at")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


COLUMNS = tuple(LabelRow.model_fields)


def row_of(extraction: Extraction, feature: Feature, label: Label) -> LabelRow:
    """The row that stands for a feature's label."""
    return LabelRow.model_construct(
        model=extraction.model, hook_point=extraction.hook_point, sae=extraction.sae, sae_hash=extraction.sae_hash,
        feature=feature.index, label=label.text, explanation=label.explanation, kind=label.kind,
        confidence=label.confidence, origin=label.origin, verdict=label.verdict, provider=label.provider,
        label_model=label.model, author=label.author, created_at=label.created_at, verdict_by=label.verdict_by,
        verdict_at=label.verdict_at)


def form_of(path: Path) -> str:
    """``csv`` or ``jsonl``, by the file's ending.

    Raises:
        ExchangeError: it ends in something else.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise ExchangeError(f"{path.name} is neither .csv nor .jsonl.", "Give the file one of these endings.")
    return form


class _Echo:
    """What a CSV writer writes is what it returns."""

    def write(self, text: str) -> str:
        return text


def write_rows(rows: Iterable[LabelRow], form: str) -> Iterator[str]:
    """The text of a file, row by row, header included even when there are no rows."""
    if form == "jsonl":
        for row in rows:
            yield json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n"
        return
    table = csv.writer(_Echo())
    yield table.writerow(COLUMNS)
    for row in rows:
        values = row.model_dump(mode="json")
        yield table.writerow(["" if values[name] is None else _guarded(values[name]) for name in COLUMNS])


def read_rows(file: BinaryIO, form: str) -> Iterator[tuple[int, LabelRow]]:
    """``(row number, row)`` of every label of an open file, one in memory at a time. In CSV row 1 is the first
    below the header.

    Raises:
        ExchangeError: the file is not UTF-8, lacks a column, or a value does not fit; names row and column.
    """
    records = _csv_records(_text(file)) if form == "csv" else _jsonl_records(_text(file))
    for number, record in records:
        yield number, _row(number, record)


def _text(file: BinaryIO) -> Iterator[str]:
    """Lines with their ends."""
    before = 0
    try:
        for line in bounded_lines(file, None, LONGEST_LINE):
            yield (line if before else line.removeprefix(codecs.BOM_UTF8)).decode()
            before += len(line)
    except UnicodeDecodeError as error:
        raise ExchangeError(f"The file is not UTF-8 (byte {before + error.start}).",
                            "Save it as UTF-8 and try again.") from error
    except TooLong as error:
        raise ExchangeError(f"A line of the file has more than {LONGEST_LINE >> 20} MiB.",
                            "Write one label a line.") from error


def _csv_records(lines: Iterator[str]) -> Iterator[tuple[int, dict]]:
    table = csv.DictReader(lines, strict=True)
    try:
        missing = [name for name in ("feature", "label") if name not in (table.fieldnames or [])]
        if missing:
            raise ExchangeError(f"The file has no column {' and no column '.join(missing)}.",
                                "Its first line must name the columns; at least feature and label are needed.")
        for number, record in enumerate(table, start=1):
            if None in record or None in record.values():
                raise ExchangeError(f"Row {number} does not have {len(table.fieldnames)} columns like the header.",
                                    "Put values that hold commas or line breaks in double quotes.")
            yield number, {name: _unguarded(value) for name, value in record.items() if value != "" or name == "label"}
    except csv.Error as error:
        raise ExchangeError(f"The file is not readable as CSV near line {table.line_num}: {error}.",
                            "Check its double quotes, or use JSONL.") from error


def _jsonl_records(lines: Iterator[str]) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ExchangeError(f"Row {number} is not valid JSON: {str(error)[:200]}.",
                                "Write one JSON object a line.") from error
        if not isinstance(record, dict):
            raise ExchangeError(f"Row {number} is not a JSON object.", "Write one JSON object a line.")
        for name in ("feature", "label"):
            if record.get(name) is None:
                raise ExchangeError(f"Row {number} has no {name}.", "Every row needs at least feature and label.")
        yield number, {name: value for name, value in record.items() if value is not None}


def _row(number: int, record: dict) -> LabelRow:
    try:
        return LabelRow.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise ExchangeError(f"Row {number}, column {first['loc'][0]}: {reason} (got {str(first['input'])[:60]!r}).",
                            "Correct that value; nothing was imported.") from error


def _guarded(value) -> str:
    return "'" + value if isinstance(value, str) and FORMULA.match(value) else str(value)


def _unguarded(value: str) -> str:
    return value[1:] if value.startswith("'") and FORMULA.match(value) else value
