"""A toy extraction with labels, a tiny random model to teach, and a data folder that ends with the test."""

import pytest
import torch
from transformers import LlamaForCausalLM

from mistudio import background
from mistudio.settings import settings
from mistudio.store import session
from mistudio.store.features import list_features
from mistudio.store.labels import edit_label
from tests.tiny import tiny_model, tiny_tokenizer
from tests.toy import add_toy_extraction

LABELS = 36


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of a tiny random language model with an end-of-text token, as every chat model has one."""
    folder = tiny_model(tmp_path_factory.mktemp("base"))
    tiny_tokenizer(folder, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        # A fresh unembedding is so small that nothing before it could make any token likely.
        model.lm_head.weight.mul_(50)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def data_dir(database_url, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(folder))
    settings.cache_clear()
    yield folder
    background.acknowledge()


@pytest.fixture
def labeled(engine, data_dir):
    """An extraction of 40 features, 36 of them with a label by a person: all the same, so that it can be learned."""
    return add_labeled(engine, lambda _index: "a")


def add_labeled(engine, text, **options):
    extraction_id = add_toy_extraction(engine, features=40, **options)
    with session(engine) as work:
        for feature, _label in list_features(work, extraction_id, limit=LABELS):
            edit_label(work, feature.id, text(feature.index), author="me")
    return extraction_id
