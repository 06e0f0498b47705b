"""Which reader a corpus needs, by looking at its name and what lies there."""

import re
from collections.abc import Iterator
from pathlib import Path

from mistudio.errors import CorpusError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus.datasets import dataset_documents
from mistudio.extract.corpus.document import Document
from mistudio.extract.corpus.records import (
    JSONL_ENDINGS,
    PARQUET_ENDINGS,
    Columns,
    jsonl_documents,
    parquet_documents,
)
from mistudio.extract.corpus.text import ENDINGS, text_documents

DATA_ENDINGS = (*JSONL_ENDINGS, *PARQUET_ENDINGS, ".jsonl.zst", ".arrow")
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?(:[\w.-]+)?")


def corpus_documents(config: ExtractConfig) -> Iterator[Document]:
    """The documents of the corpus that an extraction's config names.

    ``demo``; a text file or a folder of them; a JSONL or Parquet file; a folder of data files, or a Hugging Face id.

    Raises:
        CorpusError: nothing of that name is there, or it cannot be read.
    """
    if config.corpus == "demo":
        from mistudio.demo.corpus import demo_documents

        return demo_documents()
    path = Path(config.corpus)
    columns = Columns(config.text_column, config.tokens_column, config.document_column)
    if path.is_file():
        if path.name.endswith(JSONL_ENDINGS):
            return jsonl_documents(path, columns)
        if path.name.endswith(PARQUET_ENDINGS):
            return parquet_documents(path, columns)
        return text_documents(path)
    if path.is_dir():
        return dataset_documents(config.corpus, config.corpus_split, columns) if _holds_data(path) else (
            text_documents(path))
    local = Path(config.corpus.rpartition(":")[0] or config.corpus).is_dir()
    is_file_name = config.corpus.endswith((*ENDINGS, *DATA_ENDINGS))
    if local or (HUB_ID.fullmatch(config.corpus) and not is_file_name):
        return dataset_documents(config.corpus, config.corpus_split, columns)
    raise CorpusError(f"The corpus {config.corpus!r} does not exist.",
                      "Give a text, .jsonl or .parquet file, a folder of them, or a Hugging Face id (owner/name).")


def _holds_data(folder: Path) -> bool:
    # A data set's README.md is no text to run.
    return any(file.name.endswith(DATA_ENDINGS) for file in folder.rglob("*"))
