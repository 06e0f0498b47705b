"""What a prompt shows: the explain split, strong windows first, no window twice, nothing that is not known."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from mistudio.jobs.labeling import label_one
from mistudio.label.config import LabelConfig
from mistudio.label.evidence import NoEvidence, build_evidence
from mistudio.label.material import Material
from mistudio.label.one import evidence_for
from mistudio.label.providers import make_provider
from mistudio.label.sampling import choose, cropped, distinct
from mistudio.store import Extraction, session
from mistudio.store.examples import SOURCES, Examples, load_examples, load_references
from mistudio.store.features import get_feature
from mistudio.store.tables import ReferenceVectors
from tests.label.helpers import config_for
from tests.toy import CONCEPTS, VOCABULARY, add_toy_extraction

ASKED = {"provider": "openai", "model": "any"}


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
        silent = evidence_of(engine, toy, index, **ASKED).negatives
        assert silent
        for window in silent:
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


def test_regenerating_shows_other_silent_windows_too_and_says_when_there_are_none(engine, toy):
    first = evidence_of(engine, toy, 0, negatives=1, examples=6, **ASKED)
    ids = frozenset(first.record()["examples"] + first.record()["negatives"])
    second = evidence_of(engine, toy, 0, negatives=1, examples=6, avoid=ids, **ASKED)
    assert first.negatives[0].id != second.negatives[0].id or "silent windows" in second.note
    every = ids | set(second.record()["negatives"]) | {f"reference:{number}" for number in range(6)}
    third = evidence_of(engine, toy, 0, negatives=1, examples=6, avoid=every, **ASKED)
    assert third.negatives
    assert "All of its silent windows have been shown before" in third.record()["note"]


def test_a_label_that_is_regenerated_is_based_on_nothing_that_an_earlier_one_was(engine, toy, server):
    config = config_for(server, examples=5, negatives=1)
    labels = [label_one(engine, toy, 1, config, make_provider(config), different=True) for _time in range(2)]
    first, second = (set(label.evidence["examples"] + label.evidence["negatives"]) for label in labels)
    assert len(first) == len(second) == 6
    assert not first & second
    assert "note" not in labels[1].evidence


@pytest.mark.parametrize("size", [4, 5, 8])
def test_the_window_size_is_adjustable_and_keeps_the_peak(engine, toy, size):
    evidence = evidence_of(engine, toy, 2, window=size, **ASKED)
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 2)
        stored = {f"{SOURCES[source]}:{context}": (tokens, peak) for source, context, tokens, peak in zip(
            *(getattr(load_examples(work, feature), name) for name in ("source", "context", "tokens", "peak")),
            strict=True)}
    for window in evidence.windows:
        tokens, peak = stored[window.id]
        texts = [VOCABULARY[token] for token in tokens]
        starts = [start for start in range(len(texts) - size + 1) if window.text == "".join(texts[start:start + size])]
        assert starts and window.segments[window.peak][0] == texts[peak]
    assert evidence.record()["window"] == size


@given(data=st.data())
def test_cropping_keeps_what_is_around_the_peak(data):
    width, count = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    pool = windows([1.0] * count, width=12)
    pool.peak = np.array(data.draw(st.lists(st.integers(0, 11), min_size=count, max_size=count)))
    cut = cropped(pool, width)
    rows = np.arange(count)
    assert cut.tokens.shape == cut.activations.shape == (count, width)
    assert (cut.tokens[rows, cut.peak] == pool.tokens[rows, pool.peak]).all()
    assert (np.diff(cut.tokens, axis=1) == 1).all()
    assert cropped(pool, None) is cropped(pool, 12) is pool


def test_promoted_tokens_right_after_peaks_are_counted_without_case_and_spaces(engine, toy):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        feature.promoted = [["The ", 2.0], [" of", 1.0], [" never", 1.0], ["\n", 1.0]]
        work.add(feature)
    evidence = evidence_of(engine, toy, 0)
    after = ["".join(text for text, _strength in window.segments[window.peak + 1:]) for window in evidence.windows]
    seen = {word: sum(text.startswith(f" {word}") for text in after) for word in ("the", "of", "never")}
    assert sum(seen.values()) and dict(evidence.predicted) == {word: count for word, count in seen.items() if count}


def test_nothing_is_encoded_where_it_decides_nothing(tmp_path):
    code = ("import sys; from mistudio.store import open_store; from tests.toy import add_toy_extraction; "
            "from mistudio.label.one import preview; from mistudio.label.config import LabelConfig; "
            "from mistudio.jobs.estimate import estimate; from mistudio.store.features import FeatureFilter; "
            f"engine = open_store('sqlite:///{tmp_path}/t.db'); toy = add_toy_extraction(engine); "
            "asked = dict(provider='openai', model='any'); estimate(engine, toy, LabelConfig(**asked, negatives=1), "
            "FeatureFilter()); preview(engine, 1, LabelConfig(**asked, negatives=0)); preview(engine, 1, "
            "LabelConfig()); assert 'torch' not in sys.modules and 'transformers' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_windows_are_encoded_once_for_all_processes(engine, database_url):
    toy = add_toy_extraction(engine, references=90)
    first = evidence_of(engine, toy, 3, **ASKED)
    code = ("import sys; from mistudio.store import open_store; from mistudio.label.one import evidence_for; "
            f"from mistudio.label.config import LabelConfig; engine = open_store({database_url!r}); "
            f"shown = evidence_for(engine, 4, LabelConfig(provider='openai', model='any')).negatives; "
            "assert 'torch' not in sys.modules; print(*(window.id for window in shown))")
    said = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, text=True, stdout=subprocess.PIPE)
    assert said.stdout.split() == [window.id for window in first.negatives] != []


def test_vectors_of_other_texts_or_of_another_encoder_are_not_used(engine):
    toy = add_toy_extraction(engine, references=90)
    with session(engine) as work:
        material = Material(VOCABULARY, load_references(work, toy), engine, toy)
    numbers, vectors = material.vectors("test")
    with session(engine) as work:
        (row,) = work.exec(select(ReferenceVectors))
        key, row.key, row.vectors = row.key, "of another encoder", bytes(len(row.vectors))
    fresh = Material(VOCABULARY, material.references, engine, toy)
    assert np.array_equal(fresh.vectors("test")[0], numbers) and np.array_equal(fresh.vectors("test")[1], vectors)
    with session(engine) as work:
        assert work.exec(select(ReferenceVectors)).one().key == key, "they are kept in place of the others"


def test_a_dead_feature_has_no_evidence(engine, toy):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 11)
    with pytest.raises(NoEvidence):
        evidence_for(engine, feature.id, LabelConfig())
