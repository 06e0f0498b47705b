"""The fixed-length token rows ("contexts") cut from documents, one document a row or packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mistudio.errors import CorpusError
from mistudio.extract.corpus.document import SPLITS, Document, document_hash, split_of

if TYPE_CHECKING:  # a document's hash is asked for where no tokenizer is needed
    from transformers import PreTrainedTokenizerBase

# Parts of one row in order: token ids, and the hash of their document.
Row = list[tuple[np.ndarray, int]]


class Contexts(NamedTuple):
    """A batch of token rows.

    tokens ``[batch, pos]`` int64, padded at the right; mask ``[batch, pos]`` bool, true on tokens that count (false on
    padding and on BOS, EOS and padding tokens, whose activations are not counted); document ``[batch, pos]`` uint64
    hash of the document that each token comes from, 0 where it comes from none; split ``[batch]``
    int64 indices into ``SPLITS``, the split of all documents in the row.
    """

    tokens: np.ndarray
    mask: np.ndarray
    document: np.ndarray
    split: np.ndarray

    @property
    def attend(self) -> np.ndarray:
        """``[batch, pos]`` bool, true up to the last token that counts: what the model may look at."""
        return np.ascontiguousarray(np.maximum.accumulate(self.mask[:, ::-1], axis=1)[:, ::-1])


def contexts(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    length: int,
    max_tokens: int | None = None,
    prepend_bos: bool = True,
    batch_size: int = 16,
    pack: bool = False,
) -> Iterator[Contexts]:
    """Cut documents into rows of ``length`` tokens.

    By default a row never spans two documents, and a document's last row is padded when at least a quarter full, else
    dropped (unless it is the document's only row). Packed, rows are filled across documents with an EOS token between
    them (BOS where the tokenizer has no EOS), no token is dropped, and only documents of one split share a row, so that
    nothing of one split is ever seen, not even by attention, in another.

    Args:
        max_tokens: stop after this many counted tokens.
        prepend_bos: begin each row with BOS, or, as TransformerLens does, with EOS where the tokenizer has no BOS. A
            BOS that tokenised documents bring along is not doubled.
        pack: fill rows across documents.

    Raises:
        CorpusError: the documents held no token, or tokens that the tokenizer does not know.
    """
    layout = _Layout(tokenizer, length, prepend_bos)
    tokenized = ((layout.tokens_of(document), document_hash(document.name)) for document in documents)
    rows = _packed(tokenized, layout) if pack else _separate(tokenized, layout)
    counted, waiting = 0, []
    for row in rows:
        waiting.append(row)
        counted += sum(layout.counts(ids) for ids, _document in row)
        enough = max_tokens is not None and counted >= max_tokens
        if len(waiting) == batch_size or enough:
            yield layout.batch(waiting)
            waiting = []
        if enough:
            break
    if waiting:
        yield layout.batch(waiting)
    if not counted:
        raise CorpusError("The corpus is empty: it holds no token.", "Choose another corpus.")


class _Layout:
    """How a row is laid out: its special tokens and how many tokens of text it has room for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int, prepend_bos: bool):
        self.tokenizer, self.length, self.vocabulary = tokenizer, length, len(tokenizer)
        bos, eos, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        self.own_bos = bos if bos is not None else eos
        self.first = [self.own_bos] if prepend_bos and self.own_bos is not None else []
        self.between = [token for token in (eos, bos) if token is not None][:1]
        self.pad = pad if pad is not None else 0
        self.special = np.array(sorted({token for token in (bos, eos, pad) if token is not None}), dtype=np.int64)
        self.room = length - len(self.first)

    def tokens_of(self, document: Document) -> np.ndarray:
        """A document's token ids ``[n]``, without the BOS and padding that tokenised ones may have around them."""
        if document.tokens is None:
            ids = self.tokenizer(document.text, add_special_tokens=False, verbose=False)["input_ids"]
            return np.array(ids, dtype=np.int64)
        ids = document.tokens.astype(np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocabulary:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise CorpusError(f"Document {document.name!r} holds token {wrong}, but the model's tokenizer has "
                              f"{self.vocabulary:,} tokens.", "Use rows that this model's tokenizer made, or text.")
        ids = ids[1:] if len(ids) and ids[0] == self.own_bos else ids
        if self.tokenizer.pad_token_id is not None:
            kept = np.flatnonzero(ids != self.tokenizer.pad_token_id)
            ids = ids[:kept[-1] + 1] if len(kept) else ids[:0]
        return ids

    def counts(self, ids: np.ndarray) -> int:
        return len(ids) - int(np.isin(ids, self.special).sum())

    def batch(self, rows: list[Row]) -> Contexts:
        tokens = np.full((len(rows), self.length), self.pad, dtype=np.int64)
        text = np.zeros((len(rows), self.length), dtype=bool)
        document = np.zeros((len(rows), self.length), dtype=np.uint64)
        for number, row in enumerate(rows):
            tokens[number, :len(self.first)] = self.first
            at = len(self.first)
            for place, (ids, hashed) in enumerate(row):
                if place:
                    tokens[number, at:at + len(self.between)] = self.between
                    at += len(self.between)
                tokens[number, at:at + len(ids)] = ids
                text[number, at:at + len(ids)] = True
                document[number, at:at + len(ids)] = hashed
                at += len(ids)
        split = np.array([split_of(row[0][1]) for row in rows], dtype=np.int64)
        return Contexts(tokens, text & ~np.isin(tokens, self.special), document, split)


def _separate(tokenized: Iterable[tuple[np.ndarray, int]], layout: _Layout) -> Iterator[Row]:
    for ids, hashed in tokenized:
        for start in range(0, len(ids), layout.room):
            part = ids[start:start + layout.room]
            if layout.counts(part) and (len(part) >= layout.room // 4 or start == 0):
                yield [(part, hashed)]


def _packed(tokenized: Iterable[tuple[np.ndarray, int]], layout: _Layout) -> Iterator[Row]:
    open_rows: list[Row] = [[] for _split in SPLITS]
    used = [0] * len(SPLITS)
    for ids, hashed in tokenized:
        split = split_of(hashed)
        while len(ids):
            start = used[split] + (len(layout.between) if open_rows[split] else 0)
            part, ids = ids[:max(layout.room - start, 0)], ids[max(layout.room - start, 0):]
            if len(part):
                open_rows[split].append((part, hashed))
                used[split] = start + len(part)
            if len(ids) or used[split] == layout.room:
                yield from _counted([open_rows[split]], layout)
                open_rows[split], used[split] = [], 0
    yield from _counted(open_rows, layout)


def _counted(rows: list[Row], layout: _Layout) -> Iterator[Row]:
    """Those rows that hold anything to count."""
    for row in rows:
        if any(layout.counts(ids) for ids, _hashed in row):
            yield row
