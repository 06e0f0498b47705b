"""A GPU whose memory is full. There is none here: a hook in the real model raises what PyTorch raises then."""

import pytest
import torch
from sqlmodel import select

from mistudio.errors import ModelError
from mistudio.extract import pipeline
from mistudio.extract.passes import load_both
from mistudio.settings import settings
from mistudio.store import Extraction, open_store, session
from tests.extract.outcome import outcome, tiny_config


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    return tiny_config(tmp_path)


@pytest.fixture
def limited(monkeypatch):
    """Lets a model hold only so many contexts at a time."""
    def limit(contexts):
        def load(config):
            loaded, sae, config = load_both(config)
            loaded.model.register_forward_pre_hook(full, with_kwargs=True)
            return loaded, sae, config

        def full(_module, _args, kwargs):
            if len(kwargs["input_ids"]) > contexts:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        monkeypatch.setattr(pipeline, "load_both", load)
    return limit


def test_a_batch_that_does_not_fit_is_halved_and_nothing_else_changes(engine, config, limited, tmp_path, caplog):
    whole = open_store(f"sqlite:///{tmp_path / 'whole.db'}")
    pipeline.extract(whole, config.model_copy(update={"batch_size": 2}))
    limited(2)
    pipeline.extract(engine, config)
    assert outcome(engine)[0] == outcome(whole)[0] and outcome(engine)[2] == outcome(whole)[2]
    assert [row["top_tokens"] for row in outcome(engine)[3]] == [row["top_tokens"] for row in outcome(whole)[3]]
    assert "going on with 3 contexts at a time" in caplog.text
    whole.dispose()


def test_not_even_one_context_fits(engine, config, limited):
    limited(0)
    with pytest.raises(ModelError, match="not hold even one context") as caught:
        pipeline.extract(engine, config)
    assert "shorter context" in caught.value.hint
    with session(engine) as work:
        assert work.exec(select(Extraction.state)).one() == "failed"
