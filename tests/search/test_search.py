"""Search finds what a person means, says why, and never trips over what was typed."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlmodel import select

from mistudio.errors import StoreError
from mistudio.search.codes import Codes
from mistudio.search.encoder import encode
from mistudio.search.query import search
from mistudio.search.vectors import ensure_vectors, nearest, waiting
from mistudio.settings import settings as product_settings
from mistudio.store import Feature, Label, open_store, session
from mistudio.store.filtering import FeatureFilter
from mistudio.store.labels import add_label, current_label, edit_label, judge_label, point_to
from mistudio.store.search import read_terms, token_hits, word_hits
from tests.search.quality import RUBBISH, WANTED, measure, plant, planted_labels, shares_a_word, tuned_on
from tests.toy import add_toy_extraction


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An engine and an extraction of one feature a planted label."""
    engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('search') / 'planted.db'}")
    yield engine, plant(engine)
    engine.dispose()


def features(work, extraction):
    return list(work.exec(select(Feature).where(Feature.extraction_id == extraction).order_by(Feature.index)))


def rounded(hits):
    """What equals these hits, up to what a product of a matrix rounds otherwise for another number of rows."""
    return [(feature, label, pytest.approx(cosine, abs=1e-6)) for feature, label, cosine in hits]


def label_toys(engine, extraction, texts):
    with session(engine) as work:
        for feature, text in zip(features(work, extraction), texts, strict=False):
            add_label(work, Label(feature_id=feature.id, text=text, origin="llm"))


@pytest.mark.parametrize("tuned", [True, False], ids=["tuned on", "held out"])
def test_both_together_find_more_than_either_alone(planted, tuned):
    queries = [query for query in WANTED if tuned_on(query) == tuned]

    def quality(**how) -> tuple[float, float]:
        return measure(lambda query: [hit.index for hit in search(*planted, query, 50, **how)], queries)

    together, words, meaning = quality(), quality(meaning=False), quality(words=False)
    assert together[0] > max(words[0], meaning[0]) and together[1] > max(words[1], meaning[1])
    assert together[0] > 0.85 and together[1] > 0.9


def test_the_quality_set_is_no_toy():
    labels = {label for label, *_rest in planted_labels()}
    assert len(labels) > 250 and len(WANTED) >= 60 and all(labels.issuperset(wanted) for wanted in WANTED.values())
    assert sum(not shares_a_word(query) for query in WANTED) >= 40


@pytest.mark.parametrize("query", ["math", "number", "code", "function"])
def test_short_queries_of_the_demo_find_their_features(planted, query):
    engine, extraction = planted
    found = [hit.label for hit in search(engine, extraction, query, 10)]
    wanted = set(WANTED[query])
    assert len(wanted & set(found)) >= 0.6 * min(10, len(wanted))
    assert wanted & set(found[:3])


def test_labels_that_hold_a_common_word_leave_room_for_what_means_it(planted):
    found = [hit.label for hit in search(*planted, "code", 10)]
    assert "Python keywords" in found and sum("code" in label for label in found) >= 5


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
    assert search(engine, toy, "}", meaning=False)[0].index == 2
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
    assert ensure_vectors(engine, toy) == 0 and waiting(engine, toy) == 0
    query = encode(["digits"])[0]
    with session(engine) as work:
        first, second = [feature.id for feature in features(work, toy)[:2]]
    found = nearest(engine, toy, query, 10)
    assert [row[0] for row in found] == [first, second] and found[0][2] == pytest.approx(1, abs=2e-3)
    assert [row[0] for row in nearest(engine, toy, query, 10, among=[second])] == [second]


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

        def found(query: str):
            return word_hits(work, toy, read_terms(query), FeatureFilter(), 10)

        assert found("letters dates") == (everything[:1], [], True)
        assert set(found("letters zebra").named) == set(everything[:2]) and not found("letters zebra").all
        assert found("dates").named[0] == everything[2]  # the label that is just that


def test_what_is_quoted_must_be_there_word_for_word(engine, toy):
    label_toys(engine, toy, ["question marks", "marks of a question", "interrogative punctuation"])
    assert [hit.label for hit in search(engine, toy, '"question mark"')] == ["question marks"]
    assert {hit.index for hit in search(engine, toy, "question mark")} == {0, 1, 2}
    assert [hit.why for hit in search(engine, toy, '"question mark"')] == ["word + meaning"]
    assert search(engine, toy, '"mark question"') == []


def test_filters_leave_out_what_does_not_match(engine, toy):
    label_toys(engine, toy, ["purple elephants", "purple giraffes", "purple mice"])
    with session(engine) as work:
        second, third = features(work, toy)[1:3]
        judge_label(work, second.label_id, "approved", author="me")
        third.state = "dense"
        work.add(third)

    def found(**wanted) -> set[int]:
        return {hit.index for hit in search(engine, toy, "violet animals", wanted=FeatureFilter(**wanted))}

    assert found() == {0, 1, 2}
    assert found(labels="approved") == {1} and found(states=("dense",)) == {2} and found(score_above=0.5) == set()
    assert {hit.label_state for hit in search(engine, toy, "purple", wanted=FeatureFilter(labels="approved"))} == {
        "approved"}


def test_a_mark_is_found_by_its_name(planted):
    assert "opening brace" in [hit.label for hit in search(*planted, "{", 3)]


def test_of_many_labels_the_nearest_are_found_by_their_signs(engine, database_url, toy):
    """Exactly as far as it can be told from the labels of a toy; ``benchmarks.search`` measures it on a million."""
    texts = ["digits of years", "Python keywords", "words about cats", "court terms", "prices in dollars"]
    label_toys(engine, toy, texts)
    query = encode(["kittens"])[0]
    exact = nearest(engine, toy, query, 5)
    for _from_store_then_from_file in range(2):
        other = open_store(database_url)
        assert nearest(other, toy, query, 5, exact=2) == rounded(exact)
        assert nearest(other, toy, query, 5, exact=2, among=[exact[1][0]]) == rounded(exact[1:2])
        other.dispose()
    other = open_store(database_url)
    nearest(other, toy, query, 5, exact=2)
    with session(engine) as work:
        added = features(work, toy)[6]
        add_label(work, Label(feature_id=added.id, text="kittens", origin="llm"))
    assert nearest(other, toy, query, 1, exact=2)[0][0] == added.id
    other.dispose()


def rounded(found):
    """Products of matrices of other sizes differ in their last digits."""
    return [(feature_id, label_id, pytest.approx(similar, abs=1e-6)) for feature_id, label_id, similar in found]


def test_labels_that_land_are_taken_in_without_reading_the_others_again(engine, toy):
    """A search while a run stores ten labels a second must not read a hundred thousand vectors each time."""
    label_toys(engine, toy, ["digits of years", "Python keywords", "words about cats"])
    query = encode(["kittens"])[0]
    with session(engine) as work:
        cats, new, dogs = (features(work, toy)[at] for at in (2, 6, 7))
        before = current_label(work, cats.id)
    assert nearest(engine, toy, query, 1)[0][0] == cats.id
    said = []
    event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, sql, *_rest: said.append(sql))

    def best_current() -> tuple[int, int]:
        found = nearest(engine, toy, query, 10)
        with session(engine) as work:
            return next((feature_id, label_id) for feature_id, label_id, _similar in found
                        if current_label(work, feature_id).id == label_id)

    for feature, text, best in ((new, "young cats", new), (dogs, "dogs", new), (new, "court terms", cats)):
        with session(engine) as work:
            add_label(work, Label(feature_id=feature.id, text=text, origin="llm"))
        assert best_current()[0] == best.id
    reading = [sql for sql in said if "JOIN labelvector" in sql and "label.id >" not in sql]
    assert not reading, reading

    with session(engine) as work:
        add_label(work, Label(feature_id=cats.id, text="laws", origin="llm"))
    assert best_current()[0] != cats.id
    with session(engine) as work:
        point_to(work, cats.id, before.id)
    assert best_current() == (cats.id, before.id), "an older label that is current again"


@pytest.mark.parametrize("left", [b"", b"PK\x03\x04 cut off", b"not a zip file"])
def test_a_damaged_file_of_signs_is_made_anew(tmp_path, left):
    codes = Codes.build([(np.arange(3), np.arange(3), np.eye(3, 64, dtype=np.float32))])
    file = tmp_path / "codes.npz"
    file.write_bytes(left)
    assert Codes.load(file, "key") is None
    codes.save(file, "key")
    assert np.array_equal(Codes.load(file, "key").words, codes.words)


def test_a_folder_that_cannot_be_written_does_not_stop_a_search(engine, toy, tmp_path, monkeypatch):
    label_toys(engine, toy, ["digits of years", "Python keywords", "words about cats"])
    (tmp_path / "search").write_text("a file where the folder would be")
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(tmp_path))
    product_settings.cache_clear()
    query = encode(["kittens"])[0]
    with session(engine) as work:
        cats = features(work, toy)[2].id
    assert nearest(engine, toy, query, 1, exact=1)[0][0] == cats
    product_settings.cache_clear()


def test_signs_leave_few_near_ones_out():
    random = np.random.default_rng(0)
    groups = random.normal(size=(200, 384)).astype(np.float32)
    vectors = groups[random.integers(200, size=20_000)] + random.normal(size=(20_000, 384)).astype(np.float32)
    ids = np.arange(len(vectors))
    codes = Codes.build((ids[part], ids[part], vectors[part]) for part in (slice(0, 15_000), slice(15_000, None)))
    kept = [len(set(np.argsort(-(vectors @ query))[:10]) & set(codes.nearest(query, 500))) for query in groups[:40]]
    assert np.mean(kept) > 9.5
    assert set(codes.nearest(groups[0], 5, among=ids[:100])) <= set(range(100))


def test_postgresql_finds_words_by_its_indexes(engine, database_url, toy):
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has a full-text table, and no other way to ask it")
    many = add_toy_extraction(engine, features=3000)
    with session(engine) as work:
        found = features(work, many)
        for feature in found:
            feature.top_tokens = [[f" token{feature.index}", 5, 6.0]]
        work.add_all(Label(feature_id=feature.id, text=f"name{feature.index}", explanation=f"why{feature.index}",
                           origin="llm") for feature in found)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE label, feature")
        connection.commit()
    asked = []
    with session(engine) as work:
        event.listen(work.connection(), "before_cursor_execute", lambda *call: asked.append(call[2:4]))
        word_hits(work, many, read_terms("name7 why7"), FeatureFilter(), 10)
        token_hits(work, many, "token7", FeatureFilter(), 10)
        plans = "".join(row[0] for statement, values in [each for each in asked if "@@" in each[0]]
                        for row in work.connection().exec_driver_sql(f"EXPLAIN {statement}", values))
    for index in ("ix_label_text_words", "ix_label_explanation_words", "ix_feature_token_words"):
        assert index in plans
