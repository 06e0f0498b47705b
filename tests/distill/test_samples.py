"""What is learned from: the right labels, windows of the explain split alone, and never a held-out feature."""

import random

import pytest

from mistudio.distill.config import DistillConfig
from mistudio.distill.samples import Samples, collect
from mistudio.errors import MistudioError
from mistudio.store import Label, session
from mistudio.store.examples import load_examples, load_vocabulary
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, current_label, judge_label
from tests.distill.conftest import LABELS, add_labeled


@pytest.fixture
def named(engine, data_dir):
    """As ``labeled``, each label with its feature's index."""
    return add_labeled(engine, lambda index: f"pattern {index}")


def texts_of(engine, extraction_id, index, split):
    """The text of every window of a feature in a split."""
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
        vocabulary = load_vocabulary(work, "toy")
        return {"".join(vocabulary[token] for token in row)
                for row in load_examples(work, feature).only(split=split).tokens}


def test_windows_are_of_the_explain_split_alone(engine, named):
    samples = collect(engine, named, DistillConfig())
    for sample in samples.train:
        index = int(sample.label.split()[1])
        shown = {before + active + after for _strength, before, active, after in sample.windows}
        assert shown and shown <= texts_of(engine, named, index, "explain")
        assert not shown & texts_of(engine, named, index, "test") - texts_of(engine, named, index, "explain")
        strengths = [strength for strength, _before, _active, _after in sample.windows]
        assert strengths == sorted(strengths, reverse=True)


def test_held_out_features_are_never_trained_on(engine, named, tmp_path):
    samples = collect(engine, named, DistillConfig(held_out=0.3))
    held_out = {held.label for held in samples.held_out}
    assert len(held_out) == 11 and len(samples.train) == LABELS - 11
    assert not held_out & {sample.label for sample in samples.train}
    samples.save(tmp_path / "samples.json")
    again = Samples.load(tmp_path / "samples.json")
    assert again.held_out == collect(engine, named, DistillConfig(held_out=0.3, seed=0)).held_out == samples.held_out
    assert [sample.prompt() for sample in again.train] == [sample.prompt() for sample in samples.train]


def test_of_more_labels_than_wanted_some_are_taken(engine, named):
    samples = collect(engine, named, DistillConfig(most=32))
    assert (len(samples.train), len(samples.held_out)) == (22, 10)
    assert [held.index for held in samples.held_out] == [
        held.index for held in collect(engine, named, DistillConfig(held_out=0.01)).held_out]


def test_every_epoch_shows_other_windows(engine, named):
    sample = collect(engine, named, DistillConfig()).train[0]
    prompts = {sample.prompt(random.Random(epoch)) for epoch in range(5)}
    assert len(prompts) == 5 and all(prompt.endswith("Label:") for prompt in prompts)
    assert sample.prompt(random.Random(3)) == sample.prompt(random.Random(3))


def test_which_labels_are_learned_from(engine, named):
    def learned(**options):
        samples = collect(engine, named, DistillConfig(**options))
        return {each.label for each in (*samples.train, *samples.held_out)}

    with session(engine) as work:
        features = [get_feature(work, named, index)[0].id for index in range(36, 39)]
        for feature_id, provider, text in zip(features, ("openai", "embedded", "openai"), ("ours", "own", "refused"),
                                              strict=True):
            add_label(work, Label(feature_id=feature_id, text=text, origin="llm", provider=provider, score=0.9))
        judge_label(work, current_label(work, features[2]).id, "rejected", author="me")
        scored = [current_label(work, get_feature(work, named, index)[0].id) for index in range(31)]
        for label in scored:
            label.score = 0.8 if label is not scored[0] else 0.4
            work.add(label)
    people = {f"pattern {index}" for index in range(LABELS)}
    assert learned() == people
    assert learned(labels="current") == people | {"ours"}, "neither its own labels nor rejected ones"
    assert learned(labels="current", min_score=0.7) == {f"pattern {index}" for index in range(1, 31)} | {"ours"}


def test_too_few_labels_say_what_to_do(engine, data_dir):
    extraction_id = add_labeled(engine, lambda index: "one two three four five six seven eight nine" if index < 9
                                else "a")
    with pytest.raises(MistudioError, match="27 approved labels can be learned from") as caught:
        collect(engine, extraction_id, DistillConfig())
    assert "30 are the fewest; 9 left out (over 8 words)" in caught.value.message
    assert "approve" in caught.value.hint
