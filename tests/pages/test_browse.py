"""Browse: the table follows the URL, the detail shows the feature, and nothing from outside becomes markup."""

import pytest

from mistudio.store import Label, Score, session
from mistudio.store.features import FeatureFilter, annotate, get_feature
from mistudio.store.labels import add_label, history
from mistudio.store.scores import add_score
from mistudio.ui import filters
from mistudio.ui.tokens import best_example_html, examples_html, markdown_safe, token_html
from tests.pages import html, visit, words
from tests.toy import VOCABULARY


def name(engine, extraction_id, index, text, explanation="Because.", score=None) -> int:
    """Give a feature a label, with a score if one is given; returns the label's id."""
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
        label = Label(feature_id=feature.id, text=text, explanation=explanation, origin="llm", provider="embedded")
        add_label(work, label)
        if score is not None:
            add_score(work, Score(label_id=label.id, method="detection", judge="x", value=score, n=40), label)
        return label.id


def table(test):
    return test.dataframe[0].value


def test_the_table_shows_every_feature_with_its_label(engine, toy):
    name(engine, toy, 0, "digits in text")
    test = visit("browse")
    assert [title.value for title in test.title] == ["Browse"]
    frame = table(test)
    assert list(frame["index"]) == list(range(12))
    assert frame["label"][0] == "digits in text" and frame["label"][1] == ""
    assert "·7" in frame["top tokens"][0], "a leading space can be seen"
    assert test.query_params["x"] == str(toy)


def test_filters_come_from_the_url(engine, toy):
    name(engine, toy, 3, "court terms")
    test = visit("browse", labels="Labeled")
    assert list(table(test)["index"]) == [3]
    test.selectbox(key="labels").select("Unlabeled").run()
    assert 3 not in set(table(test)["index"])
    test = visit("browse", text="COURT")
    assert list(table(test)["index"]) == [3]
    test = visit("browse", state="dead")
    assert list(table(test)["index"]) == [11]
    test = visit("browse", sort="Maximum", desc="true")
    assert table(test)["index"][0] == 10


def test_labels_are_filtered_and_sorted_by_their_score(engine, toy):
    for index, score in ((2, 0.55), (3, 0.9), (5, 0.7)):
        name(engine, toy, index, f"label {index}", score=score)
    test = visit("browse", score="0.5")
    test.select_slider(key="score").set_range("0.5", "0.7").run()
    assert list(table(test)["index"]) == [2] and table(test)["score"][0] == 0.55
    test = visit("browse", labels="Scored", sort="Score", desc="true")
    assert list(table(test)["index"]) == [3, 5, 2]


def test_no_match_says_what_to_do(engine, toy):
    assert "No feature matches" in words(visit("browse", text="no such label"))


def test_a_feature_has_an_address(engine, toy):
    name(engine, toy, 2, "closing brackets", "Brackets that end a list.")
    test = visit("browse", x=toy, f=2)
    page = html(test)
    assert "closing brackets" in page and "Brackets that end a list." in page
    assert "ms-row" in page and "Feature 2" in words(test)


@pytest.mark.parametrize("wrong, said", [("99", "no feature 99"), ("two", "not a feature index")])
def test_an_unknown_feature_is_a_message(engine, toy, wrong, said):
    test = visit("browse", f=wrong)
    assert said in test.error[0].value and not test.exception


def test_an_unknown_extraction_shows_the_newest_and_says_so(engine, toy):
    test = visit("browse", x=77)
    assert "no extraction 77" in test.warning[0].value and len(table(test)) == 12


def test_star_and_note_are_kept(engine, toy):
    test = visit("browse", f=1, tab="Note")
    next(toggle for toggle in test.toggle if toggle.label == "Star").set_value(True).run()
    test.text_area[0].set_value("look again").run()
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 1)
    assert feature.starred and feature.note == "look again"
    with session(engine) as work:
        annotate(work, feature.id, starred=False, note="by a colleague")
    test.run()
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 1)
    assert not feature.starred and feature.note == "by a colleague", "a page left open undoes nobody's work"


def test_an_earlier_label_can_be_made_current(engine, toy):
    first = name(engine, toy, 1, "first")
    name(engine, toy, 1, "second")
    test = visit("browse", f=1, tab="History")
    next(button for button in test.button if button.key == f"use-browse-{first}").click().run()
    with session(engine) as work:
        feature, label = get_feature(work, toy, 1)
        assert label.text == "first" and len(history(work, feature.id)) == 2


def test_tokens_and_replies_never_become_markup(engine, toy):
    name(engine, toy, 5, "<img src=x onerror=alert(1)>", "<script>alert(2)</script>")
    page = html(visit("browse", f=5))
    assert "<img" not in page and "<script" not in page
    assert "&lt;img" in page and "&lt;script&gt;" in page


def test_strength_is_told_without_colour(engine, toy):
    from mistudio.store.examples import load_examples

    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        examples = load_examples(work, feature).only(split="explain", source="top")
    page = examples_html(examples, feature.max_activation, VOCABULARY)
    assert 'class="ms-strength"' in page and ">10</span>" in page and "strength 10 of 10" in page
    assert page.count("ms-row") == len(examples)
    examples.tokens[:, 0] = -1
    assert examples_html(examples, feature.max_activation, VOCABULARY), "positions outside the context are left out"
    assert best_example_html(None, 1.0, VOCABULARY) == ""


def test_spaces_newlines_and_broken_bytes_can_be_seen():
    assert "·" in token_html(" a") and "↵" in token_html("\n") and "⇥" in token_html("\t")
    assert "\N{REPLACEMENT CHARACTER}" in token_html("\x00")
    assert token_html('"<&') == "&quot;&lt;&amp;"
    assert markdown_safe("$5 [a](b) :smile:") == r"\$5 \[a\]\(b\) \:smile\:"


def test_a_filter_survives_the_way_through_the_url():
    wanted = FeatureFilter(labels="unlabeled", states=("live", "dense"), text="a&b=c", min_density=1e-4,
                           score_above=0.5, score_below=0.7, starred=True)
    assert filters.from_url(filters.to_url(wanted)) == wanted
    assert filters.from_url("") == FeatureFilter()
