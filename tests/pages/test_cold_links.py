"""Addresses that work on a server nobody has visited yet, and navigation in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import app_server, click_row, new_page, settled
from tests.pages.test_browse import name

NAVIGATION = ["Home", "Browse", "Label", "Review", "Search"]


@pytest.fixture
def filled(engine, toy, database_url):
    name(engine, toy, 3, "court and law terms", "Words of <b>courts</b>.")
    return database_url


@pytest.mark.parametrize("address, heading, shown", [
    ("?x=1&view=Manage", "Home", "Rename"),
    ("browse?x=1&f=3", "Browse", "court and law terms"),
    ("label?x=1", "Label", "3 · Start"),
    ("review?x=1&f=3", "Review", "court and law terms"),
    ("search?x=1&q=court", "Search", "found by"),
])
def test_the_first_visit_of_all_can_go_to_any_page(filled, browser, address, heading, shown):
    with app_server(filled) as url, new_page(browser) as page:
        page.goto(f"{url}/{address}")
        settled(page)
        expect(page.locator("h1")).to_have_text("toy" if heading == "Home" else heading)
        expect(page.get_by_text(shown).locator("visible=true").first).to_be_visible()
        expect(page).to_have_title(f"{heading} · mistudio")
        links = page.locator("[data-testid=stSidebar] [data-testid=stPageLink]")
        expect(links).to_have_text([re.compile(word) for word in NAVIGATION])
        assert page.locator("[data-testid=stException]").count() == 0


def test_a_filter_a_row_and_a_page_change_stay_in_the_address(filled, browser):
    with app_server(filled) as url, new_page(browser) as page:
        page.goto(f"{url}/browse")
        settled(page)
        page.get_by_role("combobox", name="Label state").click()
        page.get_by_role("option", name="Unlabeled").click()
        expect(page).to_have_url(re.compile("labels=Unlabeled"))
        expect(page.get_by_text("11 of 12 features")).to_be_visible()
        settled(page)
        click_row(page, 0)
        expect(page.get_by_text("Feature 0").first).to_be_visible()
        expect(page).to_have_url(re.compile("labels=Unlabeled.*f=0|f=0.*labels=Unlabeled"))
        page.reload()
        settled(page)
        expect(page.get_by_text("11 of 12 features")).to_be_visible()
        expect(page.get_by_text("Feature 0").first).to_be_visible()
        page.get_by_text("Label these").click()
        expect(page.locator("h1")).to_have_text("Label")
        expect(page.get_by_text("From Browse: unlabeled")).to_be_visible()
