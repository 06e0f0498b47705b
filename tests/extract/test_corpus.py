"""From text to token rows: nothing is lost, mixed up or counted twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mistudio.errors import CorpusError
from mistudio.extract.corpus import Document, contexts, document_hash, split_of, text_documents
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("tokenizer")))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=120), min_size=1, max_size=8), length=st.integers(8, 40),
       batch_size=st.integers(1, 5), bos=st.booleans())
def test_rows_hold_the_documents_in_order_and_never_two_at_a_time(tokenizer, texts, length, batch_size, bos):
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    expected = {document_hash(document.name): tokenizer(document.text, add_special_tokens=False)["input_ids"]
                for document in documents}
    if not any(expected.values()):
        with pytest.raises(CorpusError, match="no token"):
            list(contexts(documents, tokenizer, length=length))
        return
    found: dict[int, list[int]] = {}
    for batch in contexts(documents, tokenizer, length=length, prepend_bos=bos, batch_size=batch_size):
        assert batch.tokens.shape == batch.mask.shape and batch.tokens.shape[1] == length
        assert len(batch.tokens) <= batch_size
        if bos:
            assert (batch.tokens[:, 0] == tokenizer.bos_token_id).all() and not batch.mask[:, 0].any()
        for row, document in enumerate(batch.document.tolist()):
            assert batch.split[row] == split_of(document)
            found.setdefault(document, []).extend(batch.tokens[row][batch.mask[row]].tolist())
    for hashed, ids in expected.items():
        got = found.get(hashed, [])
        assert got == ids[:len(got)], "tokens in order, from the document's start"
        assert len(ids) - len(got) < max(length // 4, 1), "only a last row under a quarter full is left out"


def test_a_budget_of_tokens_ends_the_corpus(tokenizer):
    documents = (Document(str(number), "return a + b\n" * 20) for number in range(1000))
    counted = sum(int(batch.mask.sum()) for batch in contexts(documents, tokenizer, length=32, max_tokens=500))
    assert 500 <= counted < 500 + 32
    assert len(list(documents)) > 900, "the rest of the corpus was not read"


def test_splits_have_their_shares():
    splits = np.array([split_of(document_hash(f"document {number}")) for number in range(5000)])
    assert np.allclose(np.bincount(splits) / len(splits), [0.60, 0.15, 0.25], atol=0.03)


@pytest.mark.parametrize(("files", "says"), [
    ({}, "no .txt, .md or .py files"), ({"picture.png": b"x"}, "no .txt, .md or .py files"),
    ({"latin.txt": "caf\xe9".encode("latin-1")}, "not UTF-8"),
])
def test_a_folder_that_holds_no_text_is_a_message(tmp_path, files, says):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=says):
        list(text_documents(tmp_path))
