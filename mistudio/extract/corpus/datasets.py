"""Documents of Hugging Face data sets, streamed: nothing is downloaded beyond what is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mistudio.errors import CorpusError
from mistudio.extract.corpus.document import Document
from mistudio.extract.corpus.records import Columns, row_documents

HINT = ("Check the spelling, the subset (owner/name:subset) and --corpus-split, give a local file or folder, or check "
        "that the Hugging Face hub can be reached; data sets behind a form need HF_TOKEN.")


def dataset_documents(name: str, split: str, columns: Columns) -> Iterator[Document]:
    """One document a row of a data set.

    Args:
        name: Hugging Face id, or a local folder of the same layout (or one that ``save_to_disk`` wrote), with
            ``:subset`` appended where the data set has several.
        split: of the data set, for example ``train``; ``train[10%:]`` is not possible with streaming.

    Raises:
        CorpusError: the data set, subset or split is not there or out of reach, or a row lacks the columns.
    """
    return row_documents(_rows(name, split), Path(name).name, columns)


def _rows(name: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    folder, subset = Path(name), None
    if not folder.is_dir():
        where, _, subset = name.rpartition(":") if ":" in name else (name, "", None)
        folder, name = Path(where), where
    try:
        if (saved := _saved(folder, split)) is not None:
            yield from datasets.load_from_disk(str(saved)).to_iterable_dataset()
        else:
            yield from datasets.load_dataset(name, subset, split=split, streaming=True)
    except (datasets.exceptions.DatasetsError, OSError, ValueError, RuntimeError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CorpusError(f"The data set {name!r} cannot be read: {first}", HINT) from error


def _saved(folder: Path, split: str) -> Path | None:
    """Where ``save_to_disk`` wrote the split, if it did."""
    return next((place for place in (folder, folder / split) if (place / "state.json").is_file()), None)
