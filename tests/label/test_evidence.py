"""What a prompt shows: the explain split, strong windows first, no window twice, nothing that is not known."""

import numpy as np
import pytest

from mistudio.label.config import LabelConfig
from mistudio.label.evidence import NoEvidence, build_evidence
from mistudio.label.one import evidence_for
from mistudio.label.sampling import choose, distinct
from mistudio.store import Extraction, session
from mistudio.store.examples import Examples, load_examples, load_references
from mistudio.store.features import get_feature
from tests.toy import CONCEPTS


def evidence_of(engine, extraction_id, index, **options):
    avoid = options.pop("avoid", frozenset())
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
        return build_evidence(work, work.get(Extraction, extraction_id), feature, LabelConfig(**options), avoid=avoid)


def windows(strengths, source=0, width=12):
    """Windows of distinct tokens, their peaks in the middle."""
    count = len(strengths)
    tokens = np.arange(count * width, dtype=np.int32).reshape(count, width) + 10_000 * source
    activations = np.zeros((count, width), dtype=np.float16)
    activations[:, 5] = strengths
    return Examples(tokens, activations, np.full(count, 5), np.arange(count) + 1000 * source,
                    np.arange(count, dtype=np.uint64), np.zeros(count, int), np.full(count, source))


def joined(*parts):
    return Examples(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def test_only_the_explain_split_is_shown(engine, toy):
    evidence = evidence_of(engine, toy, 2)
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 2)
        explain = set(load_examples(work, feature).only(split="explain").context.tolist())
    assert evidence.windows
    assert {int(window.id.split(":")[1]) for window in evidence.windows} <= explain


def test_windows_mark_the_planted_tokens_and_come_strongest_first(engine, toy):
    evidence = evidence_of(engine, toy, 2)
    assert {window.segments[window.peak][0] for window in evidence.windows} <= set(CONCEPTS["closing brackets"])
    strengths = [window.strength for window in evidence.windows]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == 10


@pytest.mark.parametrize("strategy", ["mixed", "top", "quantile"])
def test_the_same_seed_shows_the_same_and_never_more_than_asked(engine, toy, strategy):
    first = evidence_of(engine, toy, 1, strategy=strategy, examples=6, seed=3)
    assert evidence_of(engine, toy, 1, strategy=strategy, examples=6, seed=3) == first
    assert len(first.windows) == 6
    assert first.record()["examples"] == [window.id for window in first.windows]


def test_silent_windows_are_known_to_be_silent(engine, toy):
    with session(engine) as work:
        references = load_references(work, toy)
    for index in range(6):
        for window in evidence_of(engine, toy, index).negatives:
            number = int(window.id.split(":")[1])
            assert not references[number].active(index)
            assert references[number].split == 0


def test_faint_windows_do_not_drown_the_pattern():
    pool = joined(windows([10, 9, 8, 7, 6, 5, 4]), windows([1.0] * 60 + [4.0, 5.0, 6.0, 7.0, 8.0, 9.0] * 3, source=1))
    rows = choose(pool, 10, 20, "mixed", np.random.default_rng(0))
    strengths = pool.take(np.array(rows)).strength()
    assert len(rows) == 20
    assert (strengths < 3).sum() == 2
    assert len(set(rows)) == 20


def test_near_identical_windows_are_shown_once():
    pool = joined(windows([10, 9, 8]), windows([7], source=1))
    copy = pool.take(np.array([0]))
    copy.tokens[0, 11] = 999
    copy.context[0] = 77
    assert distinct(joined(pool, copy)).context.tolist() == pool.context.tolist()


def test_different_examples_share_none_while_there_are_others(engine, toy):
    first = evidence_of(engine, toy, 0, examples=6)
    shown = set(first.record()["examples"])
    second = evidence_of(engine, toy, 0, examples=6, avoid=frozenset(shown))
    assert not shown & set(second.record()["examples"])
    assert second.note == ""


def test_it_says_so_when_examples_must_be_shown_again(engine, toy):
    shown = evidence_of(engine, toy, 0, examples=100).record()["examples"]
    again = evidence_of(engine, toy, 0, avoid=frozenset(shown))
    assert again.windows
    assert "shown before" in again.record()["note"]


def test_a_dead_feature_has_no_evidence(engine, toy):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 11)
    with pytest.raises(NoEvidence):
        evidence_for(engine, feature.id, LabelConfig())
