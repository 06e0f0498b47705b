"""An extraction of a tiny real model and SAE, against a plain computation over everything at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlmodel import select

from mistudio.errors import CorpusError, ModelError, SAEError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import SPLITS, contexts, document_hash, split_of, text_documents
from mistudio.extract.passes import is_counted, read_activations
from mistudio.extract.pipeline import extract
from mistudio.model.hook import activations_at
from mistudio.model.load import load_model
from mistudio.sae.load import load_sae
from mistudio.settings import settings
from mistudio.store import Extraction, Feature, session
from mistudio.store.examples import load_examples, load_references, load_vocabulary
from tests.model.families import WIDTH, save_family
from tests.tiny import D_SAE, TEXT, tiny_model, tiny_sae


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(40):
        text = f"Number {number}. {TEXT[number:]} {number * 37}"
        (corpus / f"{number}.txt").write_text(text, encoding="utf-8")
    return {"model": str(tiny_model(folder / "model")), "sae": str(tiny_sae(folder / "sae")), "corpus": str(corpus)}


@pytest.fixture
def config(material):
    return ExtractConfig(**material, tokens=5_000, dtype="float32", batch_size=7, window=12, device="cpu",
                         top=(4, 2, 3), sample=(5, 3, 4), references=20)


@pytest.fixture
def everything(config):
    """Activations of the whole corpus at once, with the tokens, split and document of each context."""
    loaded, sae = load_model(config.model, dtype="float32", device="cpu"), load_sae(config.sae)
    acts, tokens, splits, documents, counted = [], [], [], [], 0
    for batch in contexts(text_documents(Path(config.corpus)), loaded.tokenizer, length=24, max_tokens=5_000,
                          batch_size=7):
        resid = read_activations("layers.1", loaded, batch)
        acts.append(sae.encode(resid) * is_counted(batch, resid))
        tokens.append(batch.tokens)
        splits.append(batch.split)
        documents.append(batch.document)
        counted += int(batch.mask.sum())
    return torch.cat(acts), np.concatenate(tokens), np.concatenate(splits), np.concatenate(documents), counted


def test_stored_extraction_equals_the_plain_computation(engine, config, everything):
    acts, tokens, splits, documents, counted = everything
    steps = []
    extraction_id = extract(engine, config, lambda step, share, detail: steps.append((step, share, detail)))
    maximum = acts.max(1).values
    with session(engine) as work:
        extraction = work.get_one(Extraction, extraction_id)
        assert (extraction.state, extraction.tokens, extraction.contexts) == ("done", counted, len(tokens))
        features = work.exec(select(Feature).order_by(Feature.index)).all()
        assert len(features) == D_SAE
        vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
        assert len(vocabulary) > tokens.max()
        for feature in features:
            index = feature.index
            active = acts[:, :, index][acts[:, :, index] > 0]
            assert feature.active_tokens == len(active)
            assert feature.density == pytest.approx(len(active) / counted)
            if not len(active):
                assert feature.state == "dead" and load_examples(work, feature) is None
                continue
            assert feature.max_activation == pytest.approx(active.max().item(), rel=1e-6)
            assert feature.mean_activation == pytest.approx(active.mean().item(), rel=1e-5)
            assert sum(count for _low, _high, count in feature.histogram) == len(active)
            assert all(low <= high for low, high, _count in feature.histogram)
            found = load_examples(work, feature)
            for split, name in enumerate(SPLITS):
                top = found.only(split=name, source="top")
                mine = [c for c in range(len(tokens)) if splits[c] == split and maximum[c, index] > 0]
                ranked = sorted(mine, key=lambda c: (-maximum[c, index].item(), c))[:config.top[split]]
                # Near-identical windows are dropped afterwards: what is left is part of the exact answer, in order.
                assert [c for c in ranked if c in set(top.context.tolist())] == top.context.tolist()
                assert len(ranked) == 0 or top.context[0] == ranked[0]
                for row in range(len(top)):
                    shown = top.tokens[row]
                    assert shown[top.peak[row]] in tokens[top.context[row]]
                    assert top.strength()[row] == pytest.approx(maximum[top.context[row], index].item(), rel=1e-3)
                    assert int(top.document[row]) == documents[top.context[row]].max()
                sampled = found.only(split=name, source="random").context.tolist()
                assert set(sampled) <= set(mine)
            assert len(feature.promoted) == len(feature.suppressed) == 10
            assert feature.promoted[0][1] > feature.promoted[-1][1] > feature.suppressed[0][1]
    assert steps[-1][1] == 1.0 and any("tokens/s" in detail for _step, _share, detail in steps)


def test_splits_share_no_document(engine, config):
    extract(engine, config)
    owners: dict[int, set[int]] = {}
    with session(engine) as work:
        for feature in work.exec(select(Feature)).all():
            found = load_examples(work, feature)
            if found is None:
                continue
            for document, split in zip(found.document, found.split, strict=True):
                owners.setdefault(int(document), set()).add(int(split))
    assert len(owners) > 10
    assert all(splits == {split_of(document)} for document, splits in owners.items())
    assert {next(iter(splits)) for splits in owners.values()} == {0, 1, 2}


def test_packed_contexts_keep_documents_and_splits_apart(engine, config, tmp_path):
    """Short documents, so that rows and windows would span several."""
    rows = tmp_path / "rows.jsonl"
    texts = {f"note {number}": TEXT[number:number + 12] + str(number) for number in range(500)}
    rows.write_text("".join(json.dumps({"text": text, "id": name}) + "\n" for name, text in texts.items()))
    packed = config.model_copy(update={"corpus": str(rows), "document_column": "id", "pack": True,
                                        "tokens": 10_000})
    extraction_id = extract(engine, packed)
    tokenizer = load_model(config.model, dtype="float32", device="cpu").tokenizer
    ids = {document_hash(name): tokenizer(text)["input_ids"] for name, text in texts.items()}
    shared = set()
    with session(engine) as work:
        extraction = work.get_one(Extraction, extraction_id)
        assert extraction.tokens == sum(map(len, ids.values())), "nothing is dropped"
        assert extraction.contexts < len(texts) / 2, "documents share contexts"
        windows = [(int(document), int(split), tokens, context)
                   for feature in work.exec(select(Feature)).all()
                   if (found := load_examples(work, feature)) is not None
                   for document, split, tokens, context in zip(found.document, found.split, found.tokens, found.context,
                                                               strict=True)]
        windows += [(each.document, each.split, each.tokens, None) for each in load_references(work, extraction_id)]
    for document, split, tokens, context in windows:
        assert split == split_of(document)
        shown = tokens[tokens >= 0].tolist()
        whole = ids[document]
        assert shown and any(whole[at:at + len(shown)] == shown for at in range(len(whole)))
        shared.add((context, document))
    contexts_of = [context for context, _document in shared if context is not None]
    assert len(contexts_of) > len(set(contexts_of)), "some context gave examples of two documents"


def test_a_format_left_to_the_device_is_stored_by_its_name(engine, material):
    config = ExtractConfig(**material, tokens=1_000, device="cpu", top=(4, 2, 3), sample=(5, 3, 4))
    extraction_id = extract(engine, config)
    with session(engine) as work:
        row = work.get_one(Extraction, extraction_id)
    used = load_model(config.model, device="cpu", dtype="auto").model.dtype
    assert config.dtype == "auto"
    assert row.dtype == row.config["dtype"] == str(used).removeprefix("torch.")


@pytest.mark.parametrize(("hook_point", "ours"), [
    ("blocks.1.hook_mlp_out", "layers.1.mlp"), ("model.layers.0", "layers.0"), ("layers.2.attn.z", "layers.2.attn.z")])
def test_other_hook_points_are_stored_by_our_name(engine, config, hook_point, ours):
    extraction_id = extract(engine, config.model_copy(update={"hook_point": hook_point}))
    with session(engine) as work:
        row = work.get_one(Extraction, extraction_id)
        assert (row.hook_point, row.config["hook_point"], row.config["center"]) == (ours, ours, False)


def test_centred_streams_are_asked_for_by_the_sae_or_the_user(engine, config, tmp_path):
    centred = tiny_sae(tmp_path / "sae", metadata={
        "hook_name": "blocks.1.hook_resid_post", "context_size": 24, "prepend_bos": False,
        "model_from_pretrained_kwargs": {"center_writing_weights": True}})
    changes = [{"sae": str(centred)}, {"center": True, "prepend_bos": False}, {"sae": str(centred), "center": False}]
    ids = [extract(engine, config.model_copy(update=change)) for change in changes]
    with session(engine) as work:
        stored = [work.get_one(Extraction, each).config for each in ids]
        assert [(row["center"], row["prepend_bos"]) for row in stored] == [(True, False), (True, False), (False, False)]
        maxima = [[feature.max_activation for feature in work.exec(
            select(Feature).where(Feature.extraction_id == each).order_by(Feature.index))] for each in ids]
    assert maxima[0] == maxima[1] != maxima[2]


def test_folded_value_biases_are_asked_for_by_the_sae_or_the_user(engine, config, tmp_path):
    model, width = save_family("gpt2", tmp_path / "gpt2"), WIDTH
    told = [tiny_sae(tmp_path / name, d_in=width, metadata={
        "hook_name": "blocks.1.attn.hook_z", "context_size": 24, "prepend_bos": False,
        "model_from_pretrained_kwargs": kwargs}) for name, kwargs in (
            ("folded", {"fold_value_biases": True}), ("not", {}))]
    changes = [{"sae": str(told[0])}, {"sae": str(told[1]), "fold_value_biases": True}, {"sae": str(told[1])}]
    ids = [extract(engine, config.model_copy(update={"model": str(model), "hook_point": None} | change))
           for change in changes]
    with session(engine) as work:
        assert [work.get_one(Extraction, each).config["fold_value_biases"] for each in ids] == [True, True, False]
        maxima = [[feature.max_activation for feature in work.exec(
            select(Feature).where(Feature.extraction_id == each).order_by(Feature.index))] for each in ids]
    assert maxima[0] == maxima[1] != maxima[2]


def test_reference_windows_know_what_is_silent(engine, config, everything):
    acts, tokens, *_rest = everything
    extraction_id = extract(engine, config)
    rows = tokens.tolist()
    with session(engine) as work:
        references = load_references(work, extraction_id)
    assert len(references) == 20
    for reference in references:
        shown = reference.tokens[reference.tokens >= 0].tolist()
        places = [(context, start) for context, row in enumerate(rows) for start in range(len(row) - len(shown) + 1)
                  if row[start:start + len(shown)] == shown]
        stored = torch.zeros(len(shown), D_SAE)
        stored[reference.position.astype(int), reference.feature.astype(int)] = torch.tensor(
            reference.activation.astype(np.float32))
        assert any(torch.allclose(acts[context, start:start + len(shown)], stored, rtol=1e-3, atol=1e-6)
                   for context, start in places)
        assert all(reference.active(index) == bool(stored[:, index].any()) for index in range(D_SAE))


def test_hook_point_stops_the_model_there(material):
    loaded = load_model(material["model"], dtype="float32", device="cpu")
    tokens = torch.randint(2, 200, (2, 10))
    reached = []
    handles = [block.register_forward_hook(lambda *_args, number=number: reached.append(number))
               for number, block in enumerate(loaded.model.model.layers)]
    found = activations_at(loaded, "layers.1", tokens, torch.ones_like(tokens, dtype=torch.bool))
    for handle in handles:
        handle.remove()
    whole = loaded.model(input_ids=tokens, output_hidden_states=True).hidden_states[2]
    assert torch.equal(found, whole)
    assert reached == [0, 1]


@pytest.mark.parametrize(("change", "error", "says"), [
    ({"model": "no/such-model-here"}, ModelError, "no/such-model-here"),
    ({"sae": "no/such-sae"}, SAEError, "no/such-sae"),
    ({"corpus": "/no/such/folder"}, CorpusError, "does not exist"),
    ({"hook_point": "layers.7"}, ModelError, "3 blocks"),
])
def test_bad_input_is_a_clear_error(engine, config, change, error, says):
    with pytest.raises(error, match=says) as caught:
        extract(engine, config.model_copy(update=change))
    assert caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_a_clear_error(engine, config, monkeypatch):
    monkeypatch.setenv("MISTUDIO_DEVICE", "cuda")
    settings.cache_clear()
    with pytest.raises(ModelError, match="No CUDA device") as caught:
        extract(engine, config.model_copy(update={"device": "auto"}))
    assert "MISTUDIO_DEVICE" in caught.value.hint


def test_sae_that_does_not_fit_says_both_widths(engine, config, tmp_path):
    with pytest.raises(SAEError, match=r"d_in is 24.*has 16"):
        extract(engine, config.model_copy(update={"sae": str(tiny_sae(tmp_path / "other", d_in=24))}))


def test_empty_corpus_fails_and_the_row_says_so(engine, config, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(CorpusError, match="holds no token"):
        extract(engine, config.model_copy(update={"corpus": str(tmp_path / "empty.txt")}))
    with session(engine) as work:
        row = work.exec(select(Extraction)).one()
        assert row.state == "failed" and "holds no token" in row.error
