"""axe-core on every page, in both themes: nothing serious or critical that is ours."""

import json
import re
import shutil
import subprocess

import pytest
from playwright.sync_api import expect

from mistudio.store import Label, Score, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label, edit_label, judge_label
from mistudio.store.runs import create_run
from mistudio.store.scores import add_score
from tests.browser import app_server, new_page, settled
from tests.toy import add_toy_extraction

AXE = "axe-core@4.14.1"
PAGES = ("", "?view=Compare", "?view=Manage", "browse", "browse?f=0", "label", "label?job=Score", "label?job=Distill",
         "review", "review?f=0", "search?q=digits")
# What is wrong inside Streamlit's own widgets, where no page can mend it: rule and where, and above it why.
STREAMLITS = (
    # st.container(height=...) takes no tabindex; the browser itself lets the keyboard into what scrolls.
    ("scrollable-region-focusable", "[data-testid=stVerticalBlock][overflow=auto]"),
)
DARK = "rgb(18, 22, 29)"
FIND = """() => axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.flatMap(rule =>
    rule.nodes.map(node => ({rule: rule.id, impact: rule.impact, where: node.target.flat().join(' '), html: node.html,
                             why: node.failureSummary}))))"""


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """axe-core's source, from npm: it is not ours to ship."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm is installed to fetch axe-core with (on Debian: apt-get install npm)")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, AXE],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm could not fetch {AXE}: {done.stderr[-300:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture
def filled(engine, toy, database_url):
    """Two extractions with labels of every state, scores and runs."""
    other = add_toy_extraction(engine)
    for extraction in (toy, other):
        with session(engine) as work:
            ids = [get_feature(work, extraction, index)[0].id for index in range(6)]
            run = create_run(work, extraction, {"provider": "openai", "model": "large"}, [
                {"feature_id": feature_id, "state": state, "reason_kind": kind, "reason": reason, "reply": reply}
                for feature_id, state, kind, reason, reply in (
                    (ids[0], "done", "", "", ""), (ids[5], "failed", "prose", "The reply is no JSON.", "Well, it is"))])
            run.state = "done"
            for index, feature_id in enumerate(ids[:4]):
                label = Label(feature_id=feature_id, text=f"digits {index} {extraction}", explanation="Numbers.",
                              kind="number", confidence=0.8, origin="llm", provider="openai", model="large",
                              run_id=run.id)
                add_label(work, label)
                for method in ("detection", "fuzzing", "embedding"):
                    add_score(work, Score(label_id=label.id, method=method, judge="openai large", value=0.8, low=0.7,
                                          high=0.9, weighted=0.8, baseline=0.5, n=40, run_id=run.id, misjudged=[{
                                              "tokens": [" a", "7"], "strengths": [0, 8], "strength": 8,
                                              "said": False}]), label)
                if index > 1:
                    judge_label(work, label.id, ("approved", "rejected")[index - 2], author="ann")
            edit_label(work, ids[4], "prices", "Amounts of money.", author="ann")
    return database_url


def findings(page):
    """Serious and critical findings that are ours, one line each."""
    found = [each for each in page.evaluate(FIND) if each["impact"] in ("serious", "critical")]
    return sorted({f"{each['rule']}: {each['where']} {each['html'][:160]} {each['why'][:300]}" for each in found
                   if not any(each["rule"] == rule and page.locator(each["where"]).first.evaluate(
                       "(node, selector) => node.closest(selector) !== null", selector)
                       for rule, selector in STREAMLITS)})


def test_nothing_serious_on_any_page_in_either_theme(filled, browser, axe):
    wrong = {}
    with app_server(filled) as url, new_page(browser) as page:
        for address in PAGES:
            page.emulate_media(color_scheme="light")
            page.goto(f"{url}/{address}")
            settled(page)
            page.evaluate(axe)
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                expect(page.get_by_test_id("stApp")).to_have_css(
                    "background-color", DARK if theme == "dark" else re.compile(r"rgb\(255, 255, 255\)"))
                if found := findings(page):
                    wrong[f"{address or 'home'}, {theme}"] = found
    assert not wrong, json.dumps(wrong, indent=1)


def test_nothing_serious_on_an_empty_home(database_url, engine, browser, axe):
    with app_server(database_url) as url, new_page(browser) as page:
        page.goto(url)
        settled(page)
        page.evaluate(axe)
        assert not findings(page)
