"""The one layout of examples keeps every value."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mistudio.store import session
from mistudio.store.examples import Examples, Reference, load_examples, load_references, load_vocabulary
from mistudio.store.features import get_feature
from tests.toy import CONCEPTS, VOCABULARY


@given(st.integers(0, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_examples_come_back_from_a_blob_as_they_went_in(rows, width, seed):
    random = np.random.default_rng(seed)
    before = Examples(
        tokens=random.integers(-1, 2**31 - 1, (rows, width), dtype=np.int32),
        activations=random.random((rows, width)).astype(np.float16), peak=random.integers(0, width, rows),
        context=random.integers(0, 2**31 - 1, rows), document=random.integers(0, 2**63, rows, dtype=np.uint64),
        split=random.integers(0, 3, rows), source=random.integers(0, 2, rows))
    after = Examples.from_blob(before.to_blob())
    for name, value in vars(before).items():
        np.testing.assert_array_equal(getattr(after, name), value)


@given(st.lists(st.integers(0, 100), unique=True, max_size=20), st.integers(0, 100))
def test_a_reference_window_knows_what_is_active_in_it(active, asked):
    feature = np.array(sorted(active), dtype=np.uint32)
    before = Reference(np.arange(8, dtype=np.int32), 2, 2**63 - 1, feature, np.zeros(len(feature), np.uint16),
                       np.ones(len(feature), np.float16))
    after = Reference.from_blob(before.to_blob())
    assert after.active(asked) == (asked in active)
    assert (after.split, after.document) == (2, 2**63 - 1)
    np.testing.assert_array_equal(after.tokens, before.tokens)


def test_splits_and_sources_of_a_feature_are_disjoint_and_complete(engine, toy):
    with session(engine) as work:
        examples = load_examples(work, get_feature(work, toy, 0)[0])
        assert load_examples(work, get_feature(work, toy, 11)[0]) is None
    parts = [examples.only(split=split, source=source) for split in ("explain", "select", "test")
             for source in ("top", "random")]
    assert sum(len(part) for part in parts) == len(examples)
    documents = [set(examples.only(split=split).document.tolist()) for split in ("explain", "select", "test")]
    assert not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]
    top = examples.only(split="explain", source="top")
    assert top.strength()[0] == 10
    assert VOCABULARY[top.tokens[0, top.peak[0]]] in CONCEPTS["digits"]


def test_references_and_vocabulary_are_read_whole(engine, toy):
    with session(engine) as work:
        assert len(load_references(work, toy)) == 6
        assert load_vocabulary(work, "toy") == VOCABULARY
        assert load_vocabulary(work, "none") == []
