"""Home and Search, the selection people type, and that opening a page loads no model library."""

import subprocess
import sys

import pytest

from mistudio.errors import MistudioError
from mistudio.label.selection import parse_indices
from tests.pages import APP, html, visit, words
from tests.pages.test_browse import name


def test_an_empty_home_offers_the_demo(engine):
    test = visit()
    assert any(button.label == "Set up the demo" for button in test.button)


@pytest.mark.parametrize("page", ["browse", "label", "review", "search"])
def test_without_an_extraction_a_page_points_home(engine, page):
    test = visit(page)
    assert "no extraction yet" in test.info[0].value and not test.error


def test_home_shows_coverage_and_the_next_step(engine, toy):
    assert "No feature has a name yet" in words(visit())
    name(engine, toy, 0, "digits")
    test = visit(x=toy)
    shown = {metric.label: metric.value for metric in test.metric}
    assert shown["Features"] == "12" and shown["Labeled"] == "1"
    assert "no person has looked at: 1" in words(test)


def test_every_page_has_the_same_navigation(engine, toy):
    for page in ("", "browse", "label", "review", "search"):
        names = [found.label for found in visit(page).sidebar.get("page_link")]
        assert names[:5] == ["Home", "Browse", "Label", "Review", "Search"]


def test_search_finds_a_label_and_leads_to_its_feature(engine, toy):
    name(engine, toy, 4, "prices in <dollars>", "Amounts of money.")
    test = visit("search", q="prices")
    page = html(test)
    assert "prices in &lt;dollars&gt;" in page and "Feature 4" in page and "found by" in page
    opened = next(found for found in test.get("page_link") if found.label == "Open")
    assert f"x={toy}" in opened.query_string and "f=4" in opened.query_string


@pytest.mark.parametrize("query", ["c++", '"', "*", "AND", "<script>", "'; drop table label; --"])
def test_any_text_can_be_searched(engine, toy, query):
    name(engine, toy, 4, "prices")
    test = visit("search", q=query)
    assert not test.error and not test.exception


def test_an_example_word_fills_the_box(engine, toy):
    name(engine, toy, 0, "numbers and digits")
    test = visit("search")
    test.button(key="try-number").click().run()
    assert test.text_input(key="q").value == "number" and "numbers and digits" in html(test)


def test_search_without_labels_says_what_to_do(engine, toy):
    assert "nothing to find" in words(visit("search"))


def test_opening_a_page_loads_no_model_library(engine, toy):
    """In a fresh process, since other tests load torch into this one."""
    script = ("import sys\nfrom tests.pages import visit\n"
              "for page in ('', 'browse', 'review', 'search'): visit(page)\n"
              "visit('browse', f=1)\n"
              "found = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
              "sys.exit(f'loaded: {found}' if found else 0)")
    done = subprocess.run([sys.executable, "-c", script], cwd=APP.parent, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_selection_is_read_as_people_write_it():
    assert parse_indices("3, 0-2,2", 12) == (0, 1, 2, 3)
    assert parse_indices("11", 12) == (11,)


@pytest.mark.parametrize("text", ["", "a", "5-3", "0-12", "-1", "1.5", "1e3", "٣", "1--2", ","])
def test_rubbish_in_a_selection_is_refused(text):
    with pytest.raises(MistudioError) as caught:
        parse_indices(text, 12)
    assert caught.value.hint


def test_a_search_is_narrowed_by_filters_in_its_address(engine, toy):
    name(engine, toy, 4, "prices in dollars")
    assert "Feature 4" in html(visit("search", q="prices", labels="Unreviewed"))
    test = visit("search", q="prices", labels="Human")
    assert "Feature 4" not in html(test) and "Nothing fits" in test.info[0].value


def test_what_fires_says_what_is_missing(engine, toy):
    test = visit("search", find="What fires on a text")
    next(button for button in test.button if button.label == "See what fires").click().run()
    assert "imported" in test.error[0].value and not test.exception
