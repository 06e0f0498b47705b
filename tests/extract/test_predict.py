"""What a dry run says."""

import pytest
import torch

from mistudio.extract.collected import Collected
from mistudio.extract.predict import predict
from mistudio.extract.ranges import kept_bytes
from tests.shell import as_json, shell
from tests.tiny import D_SAE


def test_the_formula_of_the_kept_windows_is_what_they_take(config):
    collected = Collected(config, D_SAE, "cpu")
    real = sum(value.numel() * value.element_size() for running in (*collected.top, *collected.sample)
               for value in vars(running).values() if isinstance(value, torch.Tensor))
    assert kept_bytes(config, D_SAE) == real


def test_more_tokens_take_more_time_and_no_more_memory(config):
    guess = predict(config.model_copy(update={"tokens": 10**9}), lambda *_step: None)
    assert guess.seconds == pytest.approx(10**9 / guess.tokens_per_second)
    assert guess.tokens_per_second > 0
    assert guess.memory > guess.kept == guess.checkpoint > guess.disk > 0
    assert guess.passes == 1


def test_features_that_do_not_fit_at_once_take_several_passes(config):
    whole = predict(config, lambda *_step: None)
    parts = predict(config.model_copy(update={"features_at_once": 10}), lambda *_step: None)
    assert parts.passes == -(-D_SAE // 10)
    assert parts.kept * D_SAE == whole.kept * 10 and parts.disk == whole.disk


def test_the_shell_says_it_and_stores_nothing(config, database_url):
    arguments = ("extract", "--model", config.model, "--sae", config.sae, "--corpus", config.corpus, "--dry-run")
    assert as_json(*arguments)["seconds"] > 0
    out, _err = shell(*arguments)
    assert "tokens/s" in out and "Nothing was stored" in out
    out, err = shell("features", status=1)
    assert "no extraction yet" in err
