"""Search finds what a person means, says why, and never trips over what was typed."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from mistudio.errors import StoreError
from mistudio.search.encoder import encode
from mistudio.search.query import search
from mistudio.search.vectors import ensure_vectors, label_matrix
from mistudio.store import Feature, Label, open_store, session
from mistudio.store.labels import add_label, edit_label, judge_label
from mistudio.store.search import word_hits
from tests.search.quality import LABELS, RUBBISH, WANTED
from tests.toy import add_toy_extraction


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An engine and an extraction of one feature a planted label."""
    engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('search') / 'planted.db'}")
    extraction = add_toy_extraction(engine, features=len(LABELS))
    with session(engine) as work:
        for (text, explanation, kind), feature in zip(LABELS, features(work, extraction), strict=True):
            feature.top_tokens = []
            add_label(work, Label(feature_id=feature.id, text=text, explanation=explanation, kind=kind, origin="llm"))
    yield engine, extraction
    engine.dispose()


def features(work, extraction):
    return list(work.exec(select(Feature).where(Feature.extraction_id == extraction).order_by(Feature.index)))


def label_toys(engine, extraction, texts):
    with session(engine) as work:
        for feature, text in zip(features(work, extraction), texts, strict=False):
            add_label(work, Label(feature_id=feature.id, text=text, origin="llm"))


def recall(found: dict[str, list[str]]) -> float:
    return float(np.mean([np.mean([text in found[query][:10] for text in wanted]) for query, wanted in WANTED.items()]))


def test_both_together_find_at_least_as_much_as_either_alone(planted):
    engine, extraction = planted
    together = {query: [hit.label for hit in search(engine, extraction, query, 10)] for query in WANTED}
    words = {query: [hit.label for hit in search(engine, extraction, query, 10, meaning=False)] for query in WANTED}
    alone = {query: [hit.label for hit in search(engine, extraction, query, 100) if "meaning" in hit.why]
             for query in WANTED}
    print(f"recall@10: together {recall(together):.3f}, words {recall(words):.3f}, meaning {recall(alone):.3f}")
    assert recall(together) >= max(recall(words), recall(alone))
    assert recall(together) > 0.9


@pytest.mark.parametrize("query", ["math", "number", "code", "function"])
def test_short_queries_of_the_demo_find_their_features(planted, query):
    engine, extraction = planted
    found = [hit.label for hit in search(engine, extraction, query, 10)]
    wanted = set(WANTED[query])
    assert len(wanted & set(found)) >= 0.6 * len(wanted)
    assert wanted & set(found[:3])


@pytest.mark.parametrize("query", RUBBISH)
def test_rubbish_finds_nothing(planted, query):
    assert search(*planted, query) == []


def test_a_hit_says_why(engine, toy):
    label_toys(engine, toy, ["digits of years", "Python keywords", "words about cats"])
    assert search(engine, toy, "keywords")[0].why == "word + meaning"
    assert [(hit.index, hit.why) for hit in search(engine, toy, "felines")] == [(2, "meaning")]
    assert [(hit.index, hit.why) for hit in search(engine, toy, "1984", meaning=False)] == [(0, "token")]


def test_symbols_are_found_as_typed(engine, toy):
    label_toys(engine, toy, ["C++ templates", "court cases", "closing brackets", "100% and 5%"])
    found = search(engine, toy, "c++", meaning=False)
    assert found[0].label == "C++ templates"
    assert [hit.index for hit in search(engine, toy, "}", meaning=False)] == [2]
    assert [hit.label for hit in search(engine, toy, "%", meaning=False)] == ["100% and 5%"]


def test_rejected_and_replaced_labels_are_not_found(engine, toy):
    label_toys(engine, toy, ["purple elephants", "purple giraffes"])
    assert {hit.index for hit in search(engine, toy, "purple")} == {0, 1}
    with session(engine) as work:
        first, second = features(work, toy)[:2]
        judge_label(work, first.label_id, "rejected", author="me")
        edit_label(work, second.id, "court and law terms", author="me")
    assert search(engine, toy, "purple") == []
    assert [hit.index for hit in search(engine, toy, "legal language")] == [1]


def test_another_extraction_is_not_searched(engine, toy):
    other = add_toy_extraction(engine)
    label_toys(engine, other, ["purple elephants"])
    assert search(engine, toy, "purple elephants") == []
    with pytest.raises(StoreError):
        search(engine, 99, "purple")


@pytest.mark.parametrize("query", ["", " ", "c++", '"', "*", "AND", "NEAR(", "a AND", "label:x", "😀", "\0", "%", "_",
                                   "\\", "'", "(((", "\ud800", "x" * 100_000, "ő̋", "-", "{label} : x", "a^2"])
def test_no_query_raises(planted, query):
    search(*planted, query, meaning=False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_text_raises(planted, query):
    search(*planted, query, meaning=False)


def test_vectors_are_computed_once_and_kept(engine, toy):
    label_toys(engine, toy, ["digits", "keywords"])
    seen = []
    assert ensure_vectors(engine, toy, lambda done, total: seen.append((done, total))) == 2
    assert seen == [(2, 2)]
    assert ensure_vectors(engine, toy) == 0
    ids, matrix = label_matrix(engine, toy)
    assert matrix.shape == (2, 384) and np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=2e-3)
    with session(engine) as work:
        assert set(ids) == {feature.id for feature in features(work, toy)[:2]}


def test_vectors_are_those_of_the_published_model():
    """The numbers are what transformers' AutoModel and mean pooling give for its files."""
    found = encode(["court and law terms", "A much longer sentence, with 3 numbers and punctuation (in 2024)!"])
    assert found[:, [0, 100, 200, 383]] == pytest.approx(np.array([
        [-0.0583511, 0.0278399, 0.0409295, 0.0066889], [0.0098011, -0.0039297, -0.0049284, -0.0314890]]), abs=1e-5)
    assert found[0] @ found[1] == pytest.approx(0.1094493, abs=1e-5)


def test_similar_texts_have_similar_vectors():
    cat, kitten, tax = encode(["a cat", "a kitten", "tax law"])
    assert cat @ kitten > cat @ tax + 0.3


def test_words_need_no_torch(engine, database_url, toy):
    label_toys(engine, toy, ["digits of years"])
    script = ("import sys; from mistudio.search.query import search; from mistudio.store import open_store;"
              f"assert search(open_store({database_url!r}), {toy}, 'digits', meaning=False);"
              "assert not {'torch', 'transformers'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_any_word_counts_only_where_nothing_has_them_all(engine, toy):
    label_toys(engine, toy, ["dates in letters", "letters of credit", "dates"])
    with session(engine) as work:
        everything = [feature.id for feature in features(work, toy)]
        assert word_hits(work, toy, "letters dates", 10) == (everything[:1], [])
        assert set(word_hits(work, toy, "letters zebra", 10)[0]) == set(everything[:2])
