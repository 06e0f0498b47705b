"""A feature tested on a text: Browse and Review lead to Search, whose address carries the feature."""

from urllib.parse import parse_qs

import pytest
from playwright.sync_api import expect

from mistudio.extract.pipeline import extract
from tests.browser import app_server, new_page, settled
from tests.extract.outcome import tiny_config
from tests.hostile.strings import SCRIPTS
from tests.pages import html, press, visit, words
from tests.pages.test_browse import name
from tests.pages.test_hostile_browser import LOOK
from tests.tiny import TEXT

FEATURE = 3
WAY = "What fires on a text"


@pytest.fixture
def extracted(engine, tmp_path):
    """A real extraction of a tiny model with one label; its id."""
    extraction_id = extract(engine, tiny_config(tmp_path))
    name(engine, extraction_id, FEATURE, "letters after <a> space")
    return extraction_id


@pytest.mark.parametrize("page", ["browse", "review"])
def test_a_feature_leads_to_its_test_on_a_text(engine, toy, page):
    name(engine, toy, FEATURE, "court terms")
    found = next(each.proto for each in visit(page, f=FEATURE).get("page_link")
                 if each.proto.label == "Test on a text")
    assert parse_qs(found.query_string) == {"x": [str(toy)], "find": [WAY], "f": [str(FEATURE)]}
    test = visit("search", x=toy, find=WAY, f=FEATURE)
    assert "Feature 3** (court terms) is shown on this text" in words(test)


@pytest.mark.parametrize("wrong, said", [("99", "no feature 99"), ("two", "not a feature index")])
def test_a_feature_that_is_not_there_is_a_message(engine, toy, wrong, said):
    test = visit("search", find=WAY, f=wrong)
    assert said in test.error[0].value


def test_the_text_is_read_and_the_chosen_feature_shown_on_it(engine, extracted):
    test = visit("search", find=WAY, f=FEATURE)
    test.text_area(key="passage").set_value(TEXT).run()
    press(test, "See what fires")
    assert "letters after \\<a\\> space" in words(test) and "Active on" in words(test)
    assert test.number_input(key=f"tested-{FEATURE}").value == FEATURE
    assert 'class="ms-text"' in html(test)
    test.number_input(key=f"tested-{FEATURE}").set_value(5).run()
    assert test.query_params["f"] in ("5", ["5"]) and "not labeled yet" in words(test)


def test_a_cold_address_and_a_click_lead_to_the_feature_on_a_text(extracted, database_url, browser):
    with app_server(database_url) as url, new_page(browser) as page:
        page.goto(f"{url}/search?find=What+fires+on+a+text&f={FEATURE}")
        settled(page)
        expect(page.get_by_text("Feature 3 (letters after <a> space) is shown")).to_be_visible()
        page.get_by_role("button", name="See what fires").click()
        tested = page.get_by_label("Test a feature on this text")
        expect(tested).to_have_value(str(FEATURE))
        page.goto(f"{url}/browse?f=5")
        settled(page)
        page.get_by_role("link", name="Test on a text").click()
        expect(page.locator("h1")).to_have_text("Search")
        expect(page.get_by_text("Feature 5 (not labeled yet) is shown")).to_be_visible()
        page.get_by_role("button", name="See what fires").click()
        expect(tested).to_have_value("5")
        expect(page.get_by_text("Active on").locator("visible=true")).to_be_visible()
        page.get_by_role("link", name="Open in Browse").click()
        expect(page.get_by_text("Feature 5", exact=True)).to_be_visible()
        page.get_by_role("link", name="Test on a text").click()
        expect(page.get_by_text("Active on").locator("visible=true")).to_be_visible()  # the text has been read


def test_a_hostile_text_is_read_and_shown_as_text(extracted, database_url, browser):
    with app_server(database_url) as url, new_page(browser) as page:
        page.goto(f"{url}/search?find=What+fires+on+a+text&f={FEATURE}")
        settled(page)
        page.get_by_role("textbox", name="Text").fill("".join(text for text in SCRIPTS if "\0" not in text)[:1500])
        page.get_by_role("button", name="See what fires").click()
        settled(page)
        expect(page.locator(".ms-text").first).to_contain_text("script")
        assert page.evaluate(LOOK) == []
