"""Who is on the lists of editors and viewers."""

import pytest

from mistudio.access import NOBODY, known
from mistudio.errors import MistudioError
from mistudio.settings import settings


@pytest.fixture
def lists(monkeypatch):
    monkeypatch.setenv("MISTUDIO_ACCESS", "login")
    monkeypatch.setenv("MISTUDIO_EDITORS", "Anna@lab.org, @editors.org")
    monkeypatch.setenv("MISTUDIO_VIEWERS", "@lab.org,kim@elsewhere.org")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("email", ["anna@lab.org", "ANNA@LAB.ORG", "anyone@editors.org"])
def test_editors_by_address_and_by_domain(lists, email):
    assert known(email).may_write and known(email).name == email.lower()


@pytest.mark.parametrize("email", ["ben@lab.org", "kim@elsewhere.org"])
def test_viewers_only_read(lists, email):
    assert known(email).may_read and not known(email).may_write


@pytest.mark.parametrize("email", [
    "", "@", "anna", "@lab.org", "eve@elsewhere.org", "eve@sub.lab.org", "eve@lab.org.evil.com", "eve@evillab.org",
    "eve@evil.com@lab.org", "anna@lab.org@evil.com", "\u212aim@elsewhere.org", "anna@lab.org,@evil.com", "*@lab.org ,"])
def test_strangers_are_nobody(lists, email):
    assert known(email) == NOBODY


def test_empty_lists_let_nobody_in(lists, monkeypatch):
    for name in ("EDITORS", "VIEWERS"):
        monkeypatch.setenv(f"MISTUDIO_{name}", " , ,")
    settings.cache_clear()
    assert all(known(email) == NOBODY for email in ("", "@", "a@b.c", "anna@lab.org", ",@"))


@pytest.mark.parametrize("value", ["Public", "open", ""])
def test_a_mistyped_mode_opens_nothing_and_says_which_there_are(monkeypatch, value):
    monkeypatch.setenv("MISTUDIO_ACCESS", value)
    settings.cache_clear()
    with pytest.raises(MistudioError, match=r"MISTUDIO_ACCESS.*'local', 'public' or 'login'"):
        settings()
    settings.cache_clear()
