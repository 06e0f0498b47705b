"""Documents of rows with columns: JSONL and Parquet files."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from mistudio.errors import CorpusError
from mistudio.extract.corpus.document import Document
from mistudio.files import TooLong, bounded_lines

JSONL_ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson")
PARQUET_ENDINGS = (".parquet",)
TOKEN_COLUMNS = ("input_ids", "tokens")
ROWS_AT_A_TIME = 64
LONGEST_LINE = 1 << 26  # bytes: a document of 64 MiB


class Columns(NamedTuple):
    """Which columns to read. ``tokens`` None: ``input_ids`` or ``tokens`` where a row has no text column; ``document``
    None: each row is a document, named by its place."""

    text: str = "text"
    tokens: str | None = None
    document: str | None = None


def jsonl_documents(path: Path, columns: Columns) -> Iterator[Document]:
    """One document a line of a JSONL file, which may be gzipped.

    Raises:
        CorpusError: a line is no JSON object, or lacks the columns.
    """
    return row_documents(_jsonl_rows(path), path.name, columns)


def parquet_documents(path: Path, columns: Columns) -> Iterator[Document]:
    """One document a row of a Parquet file; only the columns that are needed are read.

    Raises:
        CorpusError: it is no Parquet file, or lacks the columns.
    """
    return row_documents(_parquet_rows(path, columns), path.name, columns)


def row_documents(rows: Iterable[dict[str, Any]], source: str, columns: Columns) -> Iterator[Document]:
    """Documents of rows, in order. Rows of the same document id are parts of one document and share its split.

    Args:
        source: names the corpus; with the row's number it identifies a row that has no id.

    Raises:
        CorpusError: a row lacks the columns, or what is in them is neither text nor token ids.
    """
    for number, row in enumerate(rows):
        where = f"{source}#{number}"
        name = where if columns.document is None else str(_cell(row, columns.document, "document", where))
        column = columns.tokens or next((name for name in TOKEN_COLUMNS if name in row), None)
        if columns.tokens is None and (columns.text in row or column is None):
            text = _cell(row, columns.text, "text", where)
            if not isinstance(text, str | None):
                raise CorpusError(f"The column {columns.text!r} of {where} holds {type(text).__name__}, not text.",
                                  "Name the text column with --text-column, or --tokens-column for token ids.")
            yield Document(name, text or "")
        else:
            yield Document(name, "", tokens=_token_ids(row, column, where))


def _cell(row: dict[str, Any], column: str, what: str, where: str) -> Any:
    if column not in row:
        raise CorpusError(f"{where} has no column {column!r}; it has: {', '.join(map(str, row)) or 'none'}.",
                          f"Name the {what} column with --{what}-column.")
    return row[column]


def _token_ids(row: dict[str, Any], column: str, where: str) -> np.ndarray:
    """``[n]`` ids; where the row has an attention mask, only those it lets through."""
    cell = _cell(row, column, "tokens", where)
    try:
        ids = np.asarray([] if cell is None else cell)
        kept = np.asarray(row["attention_mask"], dtype=bool) if row.get("attention_mask") is not None else slice(None)
        if not len(ids):
            return np.zeros(0, dtype=np.int64)
        # As a mask, one value or a matrix would make a matrix of a list.
        fits = isinstance(kept, slice) or kept.shape == ids.shape
        if ids.ndim == 1 and fits and np.issubdtype(ids.dtype, np.integer):
            return ids[kept].astype(np.int64)
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    raise CorpusError(f"The column {column!r} of {where} holds no list of token ids.",
                      "Name the column of token ids with --tokens-column, or the text column with --text-column.")


def _jsonl_rows(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as lines:
            for number, line in enumerate(bounded_lines(lines, size, LONGEST_LINE), start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise ValueError("no JSON object")
                yield row
    except UnicodeDecodeError as error:
        raise CorpusError(f"Line {number} of {str(path)!r} is not UTF-8 text.", "Convert it first.") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"Line {number} of {str(path)!r} is not one JSON object: {str(error)[:200]}.",
                          "A JSONL file holds one object a line, for example {\"text\": \"...\"}.") from error
    except TooLong as error:
        raise CorpusError(f"{str(path)!r}, after line {number:,}: {error}.", "Write a document, or a part of one, a "
                          "line.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{str(path)!r} cannot be read: {error}.", "Check the file.") from error


def _parquet_rows(path: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    try:
        with parquet.ParquetFile(path) as file:
            present = file.schema_arrow.names
            wanted = {columns.text, columns.tokens, columns.document, *TOKEN_COLUMNS, "attention_mask"}
            # With none of them the first row still has to say which columns there are.
            chosen = [name for name in present if name in wanted] if columns.text in present or set(
                present) & {columns.tokens, *TOKEN_COLUMNS} else present
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=chosen):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{str(path)!r} cannot be read as Parquet: {error}.", "Check the file.") from error
