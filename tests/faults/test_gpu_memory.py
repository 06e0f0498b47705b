"""A GPU whose memory is full. There is none here: a hook in the real model raises what PyTorch raises then."""

from contextlib import contextmanager

import pytest
import torch
from sqlmodel import select
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from mistudio.errors import ModelError
from mistudio.extract.pipeline import extract
from mistudio.store import Extraction, open_store, session
from tests.extract.outcome import outcome


@contextmanager
def memory_for(contexts, tokens=1):
    """While entered, embedding more contexts than these at a time is too much, but for so short ones."""
    def full(module, args):
        if isinstance(module, nn.Embedding) and len(args[0]) > contexts and args[0].shape[1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = register_module_forward_pre_hook(full)
    try:
        yield
    finally:
        handle.remove()


def test_a_batch_that_does_not_fit_is_halved_and_nothing_else_changes(engine, config, tmp_path, caplog):
    whole = open_store(f"sqlite:///{tmp_path / 'whole.db'}")
    extract(whole, config.model_copy(update={"batch_size": 2}))
    with memory_for(2):
        extract(engine, config)
    assert outcome(engine)[0] == outcome(whole)[0] and outcome(engine)[2] == outcome(whole)[2]
    assert [row["top_tokens"] for row in outcome(engine)[3]] == [row["top_tokens"] for row in outcome(whole)[3]]
    assert "going on with 3 contexts at a time" in caplog.text
    whole.dispose()


def test_not_even_one_context_fits(engine, config):
    with memory_for(0), pytest.raises(ModelError, match="not hold even one context") as caught:
        extract(engine, config)
    assert "shorter context" in caught.value.hint
    with session(engine) as work:
        assert work.exec(select(Extraction.state)).one() == "failed"


def test_not_even_the_model_fits(engine, config):
    with memory_for(0, tokens=0), pytest.raises(ModelError, match="not hold model and SAE") as caught:
        extract(engine, config)
    assert "another GPU" in caught.value.hint
