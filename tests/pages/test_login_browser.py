"""Logging in, through a real provider: editors, viewers and strangers, and the way out again."""

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from mistudio.store import open_store
from tests.browser import app_server, new_page, settled
from tests.servers.oidc import CLIENT_SECRET, COOKIE_SECRET, OIDCServer
from tests.toy import CONCEPTS, add_toy_extraction

EDITOR, VIEWER, STRANGER, LIAR = "anna@lab.org", "ben@lab.org", "eve@elsewhere.org", "claims-to-be-anna"
# In Markdown an address is broken where nobody sees it, so that it becomes no link.
WRITTEN = "Written by anna\N{WORD JOINER}@lab.org"
PEOPLE = {EDITOR: {}, VIEWER: {}, STRANGER: {}, LIAR: {"email": EDITOR, "email_verified": False}}
PAGES = ("", "?view=Manage", "browse?f=3", "label?job=Distill", "review?f=3", "search?q=court")
# What any page with data would tell.
DATA = ("toy-model", "toy-sae", *CONCEPTS["court and law terms"])


class App:
    def __init__(self, url, database, log):
        self.url, self.database, self.log = url, database, log

    def one(self, sql):
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(sql).fetchone()

    def rows(self):
        """All that is stored, but for the server's own index of what labels mean, which any search may complete."""
        with closing(sqlite3.connect(self.database)) as connection:
            return [row for row in connection.iterdump() if not row.startswith('INSERT INTO "labelvector"')]

    def visit(self, page, place=""):
        page.goto(f"{self.url}/{place}")
        return settled(page)

    def log_in(self, page, who):
        self.visit(page).get_by_role("button", name="Log in").click()
        page.get_by_role("link", name=who, exact=True).click()
        return settled(page)


@pytest.fixture(scope="module")
def app(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("login")
    engine = open_store(f"sqlite:///{folder / 'test.db'}")
    add_toy_extraction(engine)
    engine.dispose()
    with OIDCServer(PEOPLE) as provider:
        (folder / "secrets.toml").write_text(
            f'MISTUDIO_ACCESS = "login"\nMISTUDIO_EDITORS = "{EDITOR}"\nMISTUDIO_VIEWERS = "@lab.org"\n'
            + provider.secrets_toml("http://127.0.0.1:{port}"))
        with app_server(f"sqlite:///{folder / 'test.db'}", {"MISTUDIO_DATA_DIR": str(folder / "data")},
                        options=("--secrets.files", str(folder / "secrets.toml")), log=folder / "log.txt") as url:
            yield App(url, folder / "test.db", folder / "log.txt")


def listen(page):
    """Everything that the server sends to this page from now on, as one growing list."""
    frames = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(
        frame if isinstance(frame, bytes) else frame.encode())))
    return frames


def test_before_logging_in_no_page_shows_or_sends_anything_of_the_data(app, browser):
    for place in PAGES:
        with new_page(browser) as page:
            frames = listen(page)
            app.visit(page, place)
            expect(page.get_by_role("button", name="Log in")).to_be_visible()
            expect(page.locator("h1")).to_have_text("mistudio")
            again = page.get_by_text("open your link once more")
            expect(again).to_be_visible() if place else expect(again).not_to_be_visible()
            sent = b"".join(frames) + page.content().encode()
            assert len(sent) > 1000 and not [word for word in DATA if word.encode() in sent], place


def test_an_editor_edits_under_their_own_name_and_logs_out(app, browser):
    with new_page(browser) as page:
        app.log_in(page, EDITOR)
        expect(page.get_by_text(f"Logged in as {EDITOR}")).to_be_visible()
        app.visit(page, "review?f=3")
        page.get_by_label("Label", exact=True).fill("words of the court")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text(f"Written by {EDITOR}").first).to_be_visible()
        app.visit(page, "browse?f=3&tab=Note")
        page.get_by_role("textbox", name="Note").fill("look at statutes")
        page.get_by_role("textbox", name="Note").press("Control+Enter")
        expect(page.get_by_role("tabpanel").get_by_text(WRITTEN)).to_be_visible()
        settled(page)
        assert app.one("SELECT text, author, verdict_by FROM label ORDER BY id DESC") == (
            "words of the court", EDITOR, EDITOR)
        assert app.one("SELECT note, noted_by FROM feature WHERE note != ''") == ("look at statutes", EDITOR)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        frames = listen(page)
        app.visit(page, "browse?f=3")
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        assert not [word for word in DATA if word.encode() in b"".join(frames)]


def test_a_viewer_sees_everything_and_changes_nothing(app, browser):
    before = app.rows()
    with new_page(browser) as page:
        app.log_in(page, VIEWER)
        expect(page.get_by_text("You can look around")).to_be_visible()
        for place in PAGES:
            app.visit(page, place)
            expect(page.locator("h1")).not_to_have_text("mistudio")
            for name in ("Save", "Approve", "Reject", "Delete", "Rename", "Distill", "Start", "Keep this label",
                         "Use this"):
                assert not page.get_by_role("button", name=name, exact=True).count(), (place, name)
        app.visit(page, "browse?f=3&tab=Note")
        expect(page.get_by_role("textbox", name="Note")).to_be_disabled()
        expect(page.locator(".st-key-browse-detail")).to_contain_text("Feature 3")
    assert app.rows() == before


@pytest.mark.parametrize("who", [STRANGER, LIAR])
def test_strangers_and_unproven_addresses_see_nothing_but_who_they_are(app, browser, who):
    with new_page(browser) as page:
        app.log_in(page, who)
        frames = listen(page)
        for place in PAGES:
            app.visit(page, place)
            expect(page.get_by_text("who has no access here")).to_be_visible()
        assert frames and not [word for word in DATA if word.encode() in b"".join(frames)]
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_no_secret_of_the_login_is_in_the_log(app):
    log = app.log.read_text()
    assert log and CLIENT_SECRET not in log and COOKIE_SECRET not in log
