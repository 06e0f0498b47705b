"""Without a word on who may do what, the dashboard is for the browser on its own machine alone."""

from tests.browser import app_server
from tests.hosting.test_proxy import nginx, proxied
from tests.pages import unescaped
from tests.tab import Tab, alone

PAGES = ("", "browse", "label", "review", "search")


def seen(address, pages):
    """All that a visitor of each page is shown."""
    async def look(page):
        async with Tab(address, page) as tab:
            await tab.visit()
            return str(tab.elements), tab.errors

    return [alone(look(page)) for page in pages]


def test_a_server_that_others_can_reach_shows_nothing(toy, database_url):
    with app_server(database_url, options=("--server.address", "0.0.0.0")) as address:
        for shown, errors in seen(address, PAGES):
            said = unescaped("".join(errors))
            assert "does not say who may do what" in said and "MISTUDIO_ACCESS=public" in said
            assert "Feature" not in shown and "Browse" not in shown


def test_a_proxy_lets_nobody_in_who_is_not_on_this_machine(toy, database_url, tmp_path):
    with app_server(database_url) as app:
        [(shown, errors)] = seen(app, ["browse"])
        assert not errors and "12 features" in shown
        with proxied(nginx, tmp_path, app.removeprefix("http://"), "") as address:
            for shown, errors in seen(address, PAGES):
                assert "does not say who may do what" in "".join(errors)
                assert "12 features" not in shown
