"""The planted concepts: what is held out, what names one, and that training never sees a held-out one."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistudio.demo.concepts import KINDS, concepts, tells_held_out
from mistudio.demo.planted import covered

BY_LABEL = {concept.label: concept for concept in concepts()}


def test_about_a_third_of_every_kind_is_held_out_in_whole_families():
    for kind in KINDS:
        members = [concept for concept in concepts() if concept.kind == kind]
        assert 0.25 <= sum(concept.held_out for concept in members) / len(members) <= 0.42, kind
    sides = Counter((concept.kind, concept.family) for concept in concepts())
    apart = Counter((concept.kind, concept.family) for concept in concepts() if concept.held_out)
    assert all(apart[family] in (0, sides[family]) for family in sides)
    assert sum(concept.held_out for concept in concepts()) >= 60


def test_a_concept_s_own_label_names_it():
    assert [concept.label for concept in concepts() if not concept.named_by(concept.label)] == []


@pytest.mark.parametrize(("label", "names", "does_not"), [
    ("closing bracket after a call", "closing bracket", "opening bracket of a call"),
    ("names of months", "names of months", "days of the week"),
    ("percent sign after a number", "percent sign", "dollar sign before an amount"),
])
def test_other_labels_do_not(label, names, does_not):
    assert BY_LABEL[names].named_by(label)
    assert not BY_LABEL[does_not].named_by(label)


def test_to_quote_a_topic_s_words_is_not_to_name_it():
    assert BY_LABEL["war and battle"].named_by("war and military words")
    assert not BY_LABEL["war and battle"].named_by("'war' and 'troops'")
    assert BY_LABEL["'self' in Python methods"].named_by("'self' in code")


def test_a_feature_that_shows_a_held_out_concept_under_its_name_is_not_trained_on():
    held_out = BY_LABEL["percent sign"]
    assert held_out.held_out
    shown = [("rose by 4", "%", " in May"), ("a tax of 12", "%", " was"), ("an", " apple", " a day")]
    assert tells_held_out("percent sign after a number", shown)
    assert not tells_held_out("opening quotation", shown), "another name teaches nothing of it"
    assert not tells_held_out("percent sign after a number", [("an", " apple", " a day"), ("a", " pear", "")])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.data())
def test_covered_tokens_touch_the_stretch(lengths, data):
    ends = [sum(lengths[:count + 1]) for count in range(len(lengths))]
    spans = list(zip([0, *ends], ends, strict=False))
    start = data.draw(st.integers(0, ends[-1] - 1))
    end = data.draw(st.integers(start + 1, ends[-1]))
    found = covered(spans, start, end)
    assert found
    assert all(spans[place][0] < end and spans[place][1] > start for place in found)
    inside = [place for place, (first, last) in enumerate(spans) if start <= first and last <= end]
    assert set(inside) <= set(found)
