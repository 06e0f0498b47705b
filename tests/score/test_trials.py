"""The windows that labels are tried on: of one split, both sorts, and none that a labeler has seen."""

import numpy as np
import pytest

from mistudio.extract.config import ExtractConfig
from mistudio.label.material import NoEvidence, material_of
from mistudio.score.trials import check_unseen, draw_trials, halves
from mistudio.store import Extraction, Label, session
from mistudio.store.examples import SPLITS, Examples, load_examples, load_references
from mistudio.store.features import get_feature
from mistudio.store.tables import FeatureExamples
from tests.toy import CONCEPTS, FILLER, VOCABULARY, WINDOW, add_toy_extraction


def drawn(engine, extraction_id, index=1, split="test", **options):
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
        material = material_of(work, work.get_one(Extraction, extraction_id))
        return draw_trials(work, feature, material, split, **{"active": 20, "silent": 20, "seed": 0} | options)


@pytest.mark.parametrize("split", ["select", "test"])
def test_only_windows_of_the_split_are_drawn_and_silent_ones_are_known_to_be(engine, toy, split):
    trials = drawn(engine, toy, split=split)
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 1)
        examples = load_examples(work, feature).only(split=split)
        references = load_references(work, toy)
    ours = {f"{source}:{context}" for context in examples.context for source in ("top", "random")}
    for trial in (*trials.detection, *trials.fuzzing):
        if trial.id.startswith("reference:"):
            reference = references[int(trial.id.split(":")[1])]
            assert not trial.right and reference.split == SPLITS.index(split) and not reference.active(1)
        else:
            assert trial.id in ours and trial.strength > 0
    assert {trial.right for trial in trials.detection} == {trial.right for trial in trials.fuzzing} == {True, False}


def test_the_same_seed_draws_the_same_and_another_seed_another_order(engine, toy):
    first, again, other = (drawn(engine, toy, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert [trial.id for trial in first.detection] != [trial.id for trial in other.detection]


def test_half_of_the_silent_windows_are_hard(engine, toy):
    silent = [trial for trial in drawn(engine, toy, silent=10).detection if not trial.right]
    assert len(silent) == 10
    assert sum(any(token in trial.texts for token in CONCEPTS["Python keywords"]) for trial in silent) >= 1


def test_fuzzing_marks_active_tokens_rightly_and_as_many_silent_ones_wrongly(engine, toy):
    fuzzed = drawn(engine, toy).fuzzing
    assert len({trial.id for trial in fuzzed}) == len(fuzzed)
    for trial in fuzzed:
        active = {at for at, value in enumerate(trial.strengths) if value > 0}
        assert trial.marks == active if trial.right else not trial.marks & active
        assert len(trial.marks) == len(active)


def test_an_extraction_keeps_enough_windows_for_twenty_of_each_sort(engine, toy):
    usual = ExtractConfig(model="any", sae="any")
    source = np.repeat((0, 1), (usual.top[2], usual.sample[2]))
    count, random = len(source), np.random.default_rng(0)
    tokens = random.integers(len(VOCABULARY) - len(FILLER), len(VOCABULARY), (count, WINDOW))
    activations = np.zeros((count, WINDOW))
    activations[:, 3] = np.linspace(10, 1, count)
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 1)
        found = Examples(tokens, activations, np.full(count, 3), np.arange(count), np.arange(count),
                         np.full(count, SPLITS.index("test")), source)
        work.get_one(FeatureExamples, feature.id).blob = found.to_blob()
    trials = drawn(engine, toy)
    assert len({trial.id for trial in trials.fuzzing}) == len(trials.fuzzing) == 40
    assert sum(trial.right for trial in trials.fuzzing) == 20
    assert sum(trial.right for trial in trials.detection) == 20


def test_a_window_that_the_labeler_saw_is_never_scored(engine, toy):
    trials = drawn(engine, toy).detection
    shown = next(trial.id for trial in trials if trial.right)
    twin = shown.replace("top", "random") if shown.startswith("top") else shown.replace("random", "top")
    for evidence in ({"examples": [shown]}, {"examples": [twin]}, {"revision": [shown]},
                     {"negatives": [next(trial.id for trial in trials if not trial.right)]}):
        with pytest.raises(AssertionError, match="based on windows that it is now scored on"):
            check_unseen(Label(feature_id=1, text="x", origin="llm", evidence=evidence), trials)
    check_unseen(Label(feature_id=1, text="x", origin="import"), trials)


def test_halves_share_no_window_and_lose_none(engine, toy):
    whole = drawn(engine, toy, split="select")
    first, second = halves(whole)
    for name in ("detection", "fuzzing"):
        one, two, every = ({trial.id for trial in getattr(part, name)} for part in (first, second, whole))
        assert not one & two and one | two == every
        assert abs(len(one) - len(two)) <= 2


def test_too_few_windows_are_a_reason_not_a_score(engine):
    small = add_toy_extraction(engine)
    with pytest.raises(NoEvidence, match="known to be silent"):
        drawn(engine, small)
    with pytest.raises(NoEvidence, match="fewer than 5 windows"):
        drawn(engine, small, index=11)


def test_strength_and_decile_tell_where_a_window_lies(engine, toy):
    active = [trial for trial in drawn(engine, toy).detection if trial.right]
    order = np.argsort([trial.strength for trial in active])
    assert all(0 <= trial.decile <= 9 and 0 < trial.strength <= 10 for trial in active)
    assert list(np.array([trial.decile for trial in active])[order]) == sorted(trial.decile for trial in active)
