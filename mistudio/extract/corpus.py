"""Documents, and the fixed-length token rows ("contexts") cut from them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from mistudio.errors import CorpusError

SPLITS = ("explain", "select", "test")


@dataclass(frozen=True)
class Document:
    """A piece of text. ``name`` identifies it and alone decides its split; ``kind`` says what sort of text it is."""

    name: str
    text: str
    kind: str = "text"


class Contexts(NamedTuple):
    """A batch of token rows.

    tokens ``[batch, pos]`` int64, padded at the right; mask ``[batch, pos]`` bool, true on tokens of the text (false on
    padding and on the BOS token, whose activations are not counted); document ``[batch]`` uint64 document hashes;
    split ``[batch]`` int64 indices into ``SPLITS``.
    """

    tokens: np.ndarray
    mask: np.ndarray
    document: np.ndarray
    split: np.ndarray


def document_hash(name: str) -> int:
    """A stable 63-bit hash of a document's name."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


def split_of(hashed: int) -> int:
    """The split of a document: 60% explain, 15% select, 25% test, by its hash alone."""
    place = hashed % 100
    return 0 if place < 60 else 1 if place < 75 else 2


def text_documents(path: Path) -> Iterator[Document]:
    """Documents of a UTF-8 text file, or of every ``.txt``, ``.md`` and ``.py`` file below a folder.

    A single file is cut into documents at blank-line boundaries near every 4,000 characters, so that it can be split.

    Raises:
        CorpusError: nothing is there, or it is not text.
    """
    if not path.exists():
        raise CorpusError(f"The corpus {str(path)!r} does not exist.", "Give a text file or a folder of text files.")
    files = [path] if path.is_file() else sorted(
        file for pattern in ("*.txt", "*.md", "*.py") for file in path.rglob(pattern))
    if not files:
        raise CorpusError(f"There are no .txt, .md or .py files in {str(path)!r}.", "Choose another folder.")
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{str(file)!r} is not UTF-8 text.", "Convert it, or leave it out.") from error
        for number, piece in enumerate(_pieces(text)):
            yield Document(f"{file.name}#{number}", piece)


def _pieces(text: str, size: int = 4000) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n\n", start + size)
        end = len(text) if end < 0 else end + 2
        if text[start:end].strip():
            yield text[start:end]
        start = end


def contexts(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    length: int,
    max_tokens: int | None = None,
    prepend_bos: bool = True,
    batch_size: int = 16,
) -> Iterator[Contexts]:
    """Cut documents into rows of ``length`` tokens; a row never spans two documents.

    A document's last row is padded when at least a quarter full, else dropped (unless it is the document's only row).

    Args:
        max_tokens: stop after this many counted tokens.

    Raises:
        CorpusError: the documents held no token.
    """
    bos = tokenizer.bos_token_id if prepend_bos else None
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    room = length - (bos is not None)
    rows: list[tuple[list[int], int]] = []
    counted = 0

    def batch(taken: list[tuple[list[int], int]]) -> Contexts:
        tokens = np.full((len(taken), length), pad, dtype=np.int64)
        mask = np.zeros((len(taken), length), dtype=bool)
        for row, (ids, _document) in enumerate(taken):
            start = length - room
            if bos is not None:
                tokens[row, 0] = bos
            tokens[row, start:start + len(ids)] = ids
            mask[row, start:start + len(ids)] = True
        hashes = np.array([document for _ids, document in taken], dtype=np.uint64)
        return Contexts(tokens, mask, hashes, np.array([split_of(int(h)) for h in hashes]))

    for document in documents:
        hashed = document_hash(document.name)
        for ids in _rows(tokenizer, document.text, room):
            rows.append((ids, hashed))
            counted += len(ids)
            if len(rows) == batch_size:
                yield batch(rows)
                rows = []
            if max_tokens is not None and counted >= max_tokens:
                break
        if max_tokens is not None and counted >= max_tokens:
            break
    if rows:
        yield batch(rows)
    if not counted:
        raise CorpusError("The corpus is empty: it holds no token.", "Choose another corpus.")


def _rows(tokenizer: PreTrainedTokenizerBase, text: str, room: int) -> Iterator[list[int]]:
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    for start in range(0, len(ids), room):
        row = ids[start:start + room]
        if len(row) >= room // 4 or start == 0:
            yield row
