"""What only a browser can show of Browse: the map's box, a column's title, values on hover, rows that are clicked."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser import app_server, click_row, new_page, settled
from tests.pages.test_browse import name


def query(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def test_the_map_the_table_and_the_detail_work_together(engine, toy, database_url, browser):
    name(engine, toy, 2, "closing brackets")
    with app_server(database_url) as url, new_page(browser) as page:
        page.goto(f"{url}/browse")
        settled(page)

        # A box around the middle of the map keeps fewer features, and stands in the address as ranges.
        area = page.locator(".js-plotly-plot .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 3)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3, steps=4)
        page.mouse.up()
        expect(page).to_have_url(re.compile("density_from=.*density_to=.*max_from=.*max_to="))
        expect(page.get_by_text(re.compile(r"^[1-9]0? of 12 features$"))).to_be_visible()
        assert 0 < float(query(page)["density_from"]) < float(query(page)["density_to"]) < 100
        page.get_by_text("More filters").click()
        expect(page.get_by_label("Density, % of tokens, from", exact=True)).not_to_have_value("")
        page.get_by_text("More filters").click()
        page.get_by_role("button", name="Clear (4)").click()
        expect(page.get_by_text("12 features", exact=True)).to_be_visible()

        # A column's title sorts all features by it.
        settled(page)
        click_row(page, -1)
        expect(page).to_have_url(re.compile("sort=Label"))
        settled(page)
        click_row(page, 0)
        expect(page.get_by_text("Feature 2", exact=True)).to_be_visible()

        settled(page)
        # Each token says its value on hover, whether the feature is active on it or not.
        shown = page.locator(".ms-row .ms-text").first
        expect(shown.locator(".ms-peak")).to_have_attribute("title", re.compile(r"^activation 12\.00, strength 10"))
        expect(shown.locator("[title='activation 0']").first).to_be_visible()

        settled(page)
        # The next feature of the list, with the filter and the order kept.
        page.get_by_role("button", name="chevron_right").click()
        expect(page.get_by_text("Feature 0", exact=True)).to_be_visible()
        assert query(page) == {"x": str(toy), "f": "0", "sort": "Label"}, "what was cleared does not come back"

        # The address of the feature alone, to hand on.
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_text(f"{url}/browse?x={toy}&f=0")).to_be_visible()
