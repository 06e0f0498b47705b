"""From text or tokens to rows: nothing is lost, mixed up or counted twice, and no split sees another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mistudio.errors import CorpusError
from mistudio.extract.corpus import Document, contexts, document_hash, split_of, text_documents
from tests.tiny import tiny_model, tiny_tokenizer

TEXTS = st.lists(st.text(max_size=120), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory, tokenizer):
    """One with BOS and padding, one with BOS and EOS, and one with an EOS alone."""
    return [tokenizer] + [
        tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"), **special)
        for special in ({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}, {"eos_token": "</s>"})]


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, length=st.integers(8, 40), batch_size=st.integers(1, 5), bos=st.booleans())
def test_rows_hold_the_documents_in_order_and_never_two_at_a_time(tokenizer, texts, length, batch_size, bos):
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    expected = {document_hash(document.name): ids_of(tokenizer, document.text) for document in documents}
    if not any(expected.values()):
        with pytest.raises(CorpusError, match="no token"):
            list(contexts(documents, tokenizer, length=length))
        return
    found: dict[int, list[int]] = {}
    for batch in contexts(documents, tokenizer, length=length, prepend_bos=bos, batch_size=batch_size):
        assert batch.tokens.shape == batch.mask.shape == batch.document.shape and batch.tokens.shape[1] == length
        assert len(batch.tokens) <= batch_size
        if bos:
            assert (batch.tokens[:, 0] == tokenizer.bos_token_id).all() and not batch.mask[:, 0].any()
        for row in range(len(batch.tokens)):
            (document,) = set(batch.document[row][batch.mask[row]].tolist())
            assert batch.split[row] == split_of(document)
            assert batch.attend[row].sum() == batch.mask[row].sum() + bos
            found.setdefault(document, []).extend(batch.tokens[row][batch.mask[row]].tolist())
    for hashed, ids in expected.items():
        got = found.get(hashed, [])
        assert got == ids[:len(got)], "tokens in order, from the document's start"
        assert len(ids) - len(got) < max(length // 4, 1), "only a last row under a quarter full is left out"


@settings(max_examples=80, deadline=None)
@given(texts=TEXTS, length=st.integers(8, 40), batch_size=st.integers(1, 5), bos=st.booleans(),
       which=st.integers(0, 2))
def test_packed_rows_lose_nothing_and_stay_in_one_split(tokenizers, texts, length, batch_size, bos, which):
    tokenizer = tokenizers[which]
    documents = [Document(f"document {number}", text) for number, text in enumerate(texts)]
    expected = {document_hash(document.name): ids_of(tokenizer, document.text) for document in documents}
    if not any(expected.values()):
        return
    found: dict[int, list[int]] = {}
    unfilled = []
    eos = tokenizer.eos_token_id
    separator = eos if eos is not None else tokenizer.bos_token_id
    for batch in contexts(documents, tokenizer, length=length, prepend_bos=bos, batch_size=batch_size, pack=True):
        for row in range(len(batch.tokens)):
            tokens, mask, document = batch.tokens[row], batch.mask[row], batch.document[row]
            assert (document != 0).tolist() == mask.tolist()
            assert {split_of(int(each)) for each in document[mask]} == {batch.split[row]}
            assert not mask[:int(bos)].any() and mask[int(bos)]
            end = int(np.flatnonzero(mask)[-1]) + 1
            assert batch.attend[row].tolist() == [position < end for position in range(length)]
            for position in range(bos + 1, end):
                if not mask[position]:
                    assert tokens[position] == separator
                    assert document[position - 1] != document[position + 1]
                elif mask[position - 1]:
                    assert document[position] == document[position - 1], "a separator stands between documents"
            # A row with room for the separator alone is full.
            if end < length - 1:
                unfilled.append(batch.split[row])
            for hashed, token in zip(document[mask].tolist(), tokens[mask].tolist(), strict=True):
                found.setdefault(hashed, []).append(token)
    assert found == {hashed: ids for hashed, ids in expected.items() if ids}
    assert len(unfilled) == len(set(unfilled)), "only the last row of a split has room left"


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, length=st.integers(8, 40), bos=st.booleans(), pack=st.booleans(), brought=st.booleans(),
       padding=st.integers(0, 5))
def test_tokenised_rows_give_what_their_text_gives(tokenizer, texts, length, bos, pack, brought, padding):
    plain = [Document(str(number), text) for number, text in enumerate(texts) if text]
    tokenised = [Document(document.name, "", tokens=np.array(
        [tokenizer.bos_token_id] * brought + ids_of(tokenizer, document.text) + [tokenizer.pad_token_id] * padding))
        for document in plain]
    if not plain:
        return
    options = {"length": length, "prepend_bos": bos, "pack": pack, "batch_size": 3}
    for one, other in zip(*(contexts(documents, tokenizer, **options) for documents in (plain, tokenised)),
                          strict=True):
        assert all(np.array_equal(mine, others) for mine, others in zip(one, other, strict=True))


@pytest.mark.parametrize("pack", [False, True])
def test_a_budget_of_tokens_ends_the_corpus(tokenizer, pack):
    documents = (Document(str(number), "return a + b\n" * 20) for number in range(1000))
    counted = sum(int(batch.mask.sum())
                  for batch in contexts(documents, tokenizer, length=32, max_tokens=500, pack=pack))
    assert 500 <= counted < 500 + 32
    assert len(list(documents)) > 900, "the rest of the corpus was not read"


def test_special_tokens_within_a_row_are_seen_but_not_counted(tokenizers):
    tokenizer = tokenizers[1]
    ids = ids_of(tokenizer, "one </s> two")
    assert tokenizer.eos_token_id in ids
    (batch,) = contexts([Document("a", "", tokens=np.array(ids))], tokenizer, length=16)
    at = batch.tokens[0].tolist().index(tokenizer.eos_token_id)
    assert batch.attend[0, at] and not batch.mask[0, at] and batch.mask[0, at + 1]


def test_eos_begins_rows_where_there_is_no_bos(tokenizers):
    tokenizer = tokenizers[2]
    (batch,) = contexts([Document("a", "some text")], tokenizer, length=16)
    assert batch.tokens[0, 0] == tokenizer.eos_token_id and not batch.mask[0, 0] and batch.attend[0, 0]


@pytest.mark.parametrize("wrong", [-1, 100_000])
def test_tokens_of_another_tokenizer_are_a_message(tokenizer, wrong):
    with pytest.raises(CorpusError, match=f"token {wrong}"):
        list(contexts([Document("rows#3", "", tokens=np.array([5, wrong]))], tokenizer, length=16))


def test_splits_have_their_shares():
    splits = np.array([split_of(document_hash(f"document {number}")) for number in range(5000)])
    assert np.allclose(np.bincount(splits) / len(splits), [0.60, 0.15, 0.25], atol=0.03)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="ab\n", max_size=200), times=st.integers(1, 900))
def test_a_text_file_comes_whole_in_pieces_that_end_at_blank_lines(tmp_path_factory, text, times):
    file = tmp_path_factory.mktemp("text") / "long.txt"
    file.write_text(text * times, encoding="utf-8")
    pieces = [document.text for document in text_documents(file)]
    whole = (text * times)
    place = 0
    for piece in pieces:
        at = whole.index(piece, place)
        assert not whole[place:at].strip(), "only blank pieces are left out"
        place = at + len(piece)
        assert place == len(whole) or piece.endswith("\n\n") or len(piece) == 40_000
    assert not whole[place:].strip()
    assert all(len(piece) <= 40_000 for piece in pieces)


def test_files_of_one_name_are_different_documents(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text("text")
    assert len({document.name for document in text_documents(tmp_path)}) == 2


@pytest.mark.parametrize(("files", "says"), [
    ({}, "no .txt, .md or .py files"), ({"picture.png": b"x"}, "no .txt, .md or .py files"),
    ({"latin.txt": "caf\xe9".encode("latin-1")}, "not UTF-8"),
])
def test_a_folder_that_holds_no_text_is_a_message(tmp_path, files, says):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=says):
        list(text_documents(tmp_path))
