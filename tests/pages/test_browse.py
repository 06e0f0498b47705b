"""Browse: the table follows the URL, the detail shows the feature, and nothing from outside becomes markup."""

import re
from math import log1p

import numpy as np
import pytest

from mistudio.store import Label, Score, session
from mistudio.store.examples import Examples, load_examples
from mistudio.store.features import FeatureFilter, annotate, density_grid, get_feature, points
from mistudio.store.filtering import SORTS
from mistudio.store.labels import add_label, history
from mistudio.store.nearest import add_nearest
from mistudio.store.scores import add_score
from mistudio.ui import filters
from mistudio.ui.charts import Box, density_chart, density_grid_chart
from mistudio.ui.examples import QUARTERS
from mistudio.ui.history import differences_html
from mistudio.ui.sharing import feature_text
from mistudio.ui.tokens import (
    best_example_html,
    examples_html,
    html_safe,
    markdown_safe,
    readable,
    token_html,
    visible,
)
from tests.pages import html, visit, words
from tests.toy import VOCABULARY, add_toy_extraction


def name(engine, extraction_id, index, text, explanation="Because.", score=None, kind="") -> int:
    """Give a feature a label, with a score if one is given; returns the label's id."""
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
        label = Label(feature_id=feature.id, text=text, explanation=explanation, origin="llm", provider="embedded",
                      kind=kind)
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
    test = visit("browse", density_from=0.3, density_to=0.6, max_from=12.5)
    assert list(table(test)["index"]) == [3, 4, 5]
    assert "density 0.3% to 0.6%, maximum at least 12.5" in html(test)
    test = visit("browse", origin="LLM", provider="embedded", max_to=15)
    assert list(table(test)["index"]) == [3]
    test = visit("browse", origin="Person")
    assert "No feature matches" in words(test)


def test_clear_takes_every_filter_away(engine, toy):
    test = visit("browse", text="court", state="live", density_from=0.1, kind="code", starred="true", page=2)
    assert "No feature matches" in words(test)
    next(button for button in test.button if button.key == "clear").click().run()
    assert len(table(test)) == 12
    assert set(test.query_params) == {"x"}, "nothing but the extraction is left in the address"


def test_every_column_can_be_sorted_by(engine, toy):
    assert set(filters.SORTS.values()) == set(SORTS)
    for index, kind in ((2, "number"), (3, "code"), (5, "domain")):
        name(engine, toy, index, f"label {index}", kind=kind)
    assert list(table(visit("browse", sort="Kind"))["index"])[:4] == [3, 5, 2, 0], "without a value comes last"
    assert list(table(visit("browse", sort="Provider"))["index"])[:4] == [2, 3, 5, 0]


def test_a_page_of_rows_has_its_small_histograms(engine):
    add_toy_extraction(engine, features=120)
    test = visit("browse", page=2)
    frame = table(test)
    assert list(frame["index"]) == list(range(50, 100)), "only this page is read and sent"
    assert list(frame["activations"][0]) == pytest.approx([log1p(5), log1p(9), log1p(3)])
    test.text_input(key="text").set_value("x").run()
    assert "page" not in test.query_params, "other features are listed from their first page"


def test_labels_are_filtered_and_sorted_by_their_score(engine, toy):
    for index, score in ((2, 0.55), (3, 0.9), (5, 0.7)):
        name(engine, toy, index, f"label {index}", score=score)
    test = visit("browse", score="0.5")
    test.select_slider(key="score").set_range("0.5", "0.7").run()
    assert list(table(test)["index"]) == [2] and table(test)["score"][0] == 0.55
    test = visit("browse", labels="Scored", sort="Score", desc="true")
    assert list(table(test)["index"]) == [3, 5, 2]


def test_no_match_says_what_to_do(engine, toy):
    test = visit("browse", text="no such label")
    assert "No feature matches" in words(test) and "press Clear" in words(test)


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


def test_the_history_says_which_words_changed(engine, toy):
    name(engine, toy, 1, "closing brackets in code", "They end a list.")
    name(engine, toy, 1, "closing <b>marks</b> in code", "They end a list.")
    page = html(visit("browse", f=1, tab="History"))
    assert "closing <del>brackets</del> <ins>&lt;b&gt;marks&lt;/b&gt;</ins> in code" in page
    assert differences_html("a b", "b c d") == "<del>a</del> b <ins>c d</ins>"


def test_examples_come_by_strength_and_as_wide_as_wanted(engine, toy):
    test = visit("browse", f=0)
    control = test.segmented_control(key="examples-browse")
    assert control.options == ["Strongest", *QUARTERS]
    strongest_quarter, weakest = (html(control.set_value(part).run()) for part in (QUARTERS[0], QUARTERS[-1]))
    assert peaks(strongest_quarter) == sorted(peaks(strongest_quarter), reverse=True)
    assert min(peaks(strongest_quarter)) >= max(peaks(weakest)) > 0
    assert "0–25% of it by strength" in words(test)


def peaks(page: str) -> list[float]:
    """The activation of each window's strongest token, as it stands on hover."""
    return [float(found) for found in re.findall(r'ms-on ms-peak"[^>]*title="activation ([0-9.]+)', page)]


def test_a_window_is_cut_around_its_peak_until_all_of_it_is_wanted():
    tokens = np.arange(20)[None]
    activations = np.zeros((1, 20), dtype=np.float16)
    activations[0, [3, 12]] = 2, 5
    one = np.array([12])
    examples = Examples(tokens, activations, one, one, one.astype(np.uint64), one * 0, one * 0)
    page = examples_html(examples, 10.0, VOCABULARY, width=6)
    assert page.count("title=") == 7, "six tokens and the strength before them"
    assert page.count("…") == 2 and 'title="activation 0"' in page and "strength 5 of 10" in page
    whole = examples_html(examples, 10.0, VOCABULARY)
    assert whole.count("title=") == 21 and "…" not in whole


def test_related_features_open(engine, toy):
    for index in (2, 8, 5):
        name(engine, toy, index, "Closing brackets" if index == 8 else "closing brackets" if index == 2 else "tags")
    test = visit("browse", f=2, tab="Related")
    assert "Not known for this extraction" in words(test)
    with session(engine) as work:
        nearest = np.array([[(index + 3) % 12, (index + 1) % 12] for index in range(12)])
        add_nearest(work, toy, nearest, np.tile([0.75, -0.25], (12, 1)))
    test.run()
    assert "Not known" not in words(test)
    labels = [button.label for button in test.button]
    assert "0.75 · 5 · **tags**" in labels and any(label.startswith("-0.25 · 3 · ") for label in labels)
    next(button for button in test.button if button.key == "same-browse-8").click().run()
    assert "Feature 8" in words(test) and "Closing brackets" in html(test)
    assert [button.key for button in test.button if "same" in (button.key or "")] == ["same-browse-2"]


def test_a_feature_as_text(engine, toy):
    name(engine, toy, 2, "closing brackets", "They end a list.", score=0.8)
    with session(engine) as work:
        feature, label = get_feature(work, toy, 2)
        text = feature_text("toy", feature, label, load_examples(work, feature), VOCABULARY)
    assert text.startswith("Feature 2 of toy\nLabel: closing brackets\nExplanation: They end a list.\nScore: 0.80")
    assert "Density: 0.3% of tokens" in text and "Promoted output tokens: ·next  )" in text
    assert "- 12.00: " in text and "«)»" in text


def test_the_map_has_every_feature_that_fired(engine, toy):
    name(engine, toy, 2, "<i>brackets</i>")
    with session(engine) as work:
        figure = density_chart(points(work, toy))
        grid = density_grid(work, toy, bins=5)
    assert [len(trace.x) for trace in figure.data] == [10, 1], "without a label, and with one"
    assert "<" not in figure.data[1].text[0]
    counted = density_grid_chart(grid, Box((0.001, 0.01), (10, 15))).data[0].customdata
    assert counted.sum(0).tolist() == [11, 1]


def test_tokens_and_replies_never_become_markup(engine, toy):
    name(engine, toy, 5, "<img src=x onerror=alert(1)>", "<script>alert(2)</script>")
    page = html(visit("browse", f=5))
    assert "<img" not in page and "<script" not in page
    assert "&lt;img" in page and "&lt;script&gt;" in page


def test_strength_is_told_without_colour(engine, toy):
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
    assert token_html("\x00\u202e") == "⟨U+0000⟩⟨U+202E⟩" == visible("\x00\u202e")
    assert readable("a\u202e\x1b\ufeff b\n\u200dc") == "a⟨U+202E⟩⟨U+001B⟩⟨U+FEFF⟩ b\n\u200dc"
    assert html_safe("<\u2066>") == "&lt;⟨U+2066⟩&gt;"
    assert len(readable("e" + 100 * "\N{COMBINING ACUTE ACCENT}" + "x")) == 6, "accents do not pile up over other lines"
    assert token_html('"<&') == "&quot;&lt;&amp;"
    assert markdown_safe("$5 [a](b) :smile:") == r"\$5 \[a\]\(b\) \:smile\:"
    assert markdown_safe("a\n\n# b\n===") == r"a \# b \=\=\=", "what begins a line formats it"


def test_a_filter_survives_the_way_through_the_url():
    wanted = FeatureFilter(labels="unlabeled", states=("live", "dense"), text="a&b=c", kind="code", origin="llm",
                           provider="openai", min_density=1e-4, max_density=0.5, min_activation=1.5, max_activation=9,
                           score_above=0.5, score_below=0.7, starred=True)
    assert filters.from_url(filters.to_url(wanted)) == wanted
    assert filters.from_url("") == FeatureFilter()
