"""The six scenes of the story, as a person would play them in a browser."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from mistudio.store import open_store, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, list_features
from tests.browser import click_row, settled

# What a labeler that knows digits finds, and what one that names anything does.
OF_DIGITS = {"number": "number|digit|year|date"}
OF_ANYTHING = {"math": "math|equation|number|digit", "number": "number|digit|numer", "code": "code|python|keyword",
               "function": "function|def|code|bracket"}


def play(page: Page, address: str, pictures: Path, who: Callable[[Page], None], features: str | None,
         words: dict[str, str], *, measured: bool = False, before: Callable[[Callable], None] = lambda scene: None,
         arrived: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """All six, from an open Home on; each leaves a picture. Returns the index of the edited feature and its new label.

    Args:
        measured: whether the labels are scored before they are reviewed, so that Review knows the poor and the good.
        before: called with each scene before it is played.
        arrived: called once scene 3 has been seen and its run may end.
    """
    before(open_unlabeled_browser)
    open_unlabeled_browser(page, pictures)
    before(configure)
    configure(page, pictures, who, features)
    before(watch_labels_arrive)
    watch_labels_arrive(page, pictures)
    arrived()
    wait_for_the_end(page, "labeling")
    if measured:
        measure(page)
    before(review_and_edit)
    index, text = review_and_edit(page, pictures)
    before(search)
    search(page, pictures, words)
    before(close_on_the_labeled_browser)
    close_on_the_labeled_browser(page, pictures, address, index, text)
    return index, text


def shot(page: Page, pictures: Path, name: str) -> None:
    """One picture, once everything on the page is drawn and the pointer is out of the way."""
    page.mouse.move(page.viewport_size["width"] - 1, page.viewport_size["height"] - 1)
    page.evaluate("document.activeElement.blur()")
    to_top(page)
    settled(page)
    page.screenshot(path=pictures / f"{name}.png")


def to_top(page: Page) -> None:
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")


def open_unlabeled_browser(page: Page, pictures: Path) -> None:
    """Scene 1: thousands of unlabeled features, those of middling density first, with good examples."""
    page.get_by_role("link", name=re.compile("Browse them first")).click()
    expect(page.locator("h1")).to_have_text("Browse")
    settled(page)
    expect(page.get_by_text(re.compile(r"^4,608 features$"))).to_be_visible()
    choose_option(page, "Feature state", "live")
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile(r"^[1-4],\d{3} of 4,608 features$"))).to_be_visible()
    page.get_by_text("More filters").click()
    _fill(page, "Density, % of tokens, from", "0.1")
    _fill(page, "Density, % of tokens, to", "1")
    expect(page).to_have_url(re.compile("density_from=0.1&density_to=1"))
    choose_option(page, "Sort by", "Maximum")
    page.get_by_text("Descending").click()
    expect(page).to_have_url(re.compile("desc=true"))
    page.reload()  # the address holds all of it
    open_row(page, 5)
    expect(page.get_by_text("No label yet").first).to_be_visible()
    shot(page, pictures, "1-browse-unlabeled")


def open_row(page: Page, row: int) -> None:
    """Open the feature of a row (from 0) of Browse's table."""
    settled(page)
    click_row(page, row)
    expect(page.get_by_text(re.compile("^Feature [0-9,]+$"))).to_be_visible()
    expect(page.locator(".ms-row").first).to_be_visible()


def choose_option(page: Page, widget: str, option: str) -> None:
    page.get_by_role("combobox", name=widget).click()
    page.get_by_role("option", name=option, exact=True).click()


def configure(page: Page, pictures: Path, who: Callable[[Page], None], features: str | None) -> None:
    """Scene 2: who labels, and which features.

    Those given, or what Browse's filter holds.
    """
    if features is None:
        page.get_by_role("link", name=re.compile("Label these")).click()
    else:
        page.get_by_role("link", name=re.compile("Label$")).first.click()
    expect(page.locator("h1")).to_have_text("Label")
    settled(page)
    if features is None:
        expect(page.get_by_text("From Browse: live, density")).to_be_visible()
    who(page)
    if features is not None:
        page.get_by_text("Chosen features", exact=True).click()
        _fill(page, "Features", features)
    expect(start_button(page)).to_be_enabled()
    shot(page, pictures, "2-configure")


def start_button(page: Page):
    return page.get_by_role("button", name=re.compile(r"^Label [\d,]+ features$"))


def by_openai(address: str) -> Callable[[Page], None]:
    def choose(page: Page) -> None:
        page.get_by_text("OpenAI or compatible", exact=True).click()
        _fill(page, "API key", "sk-of-this-session")
        _server(page, address, "gpt-test")
    return choose


def by_ollama(address: str) -> Callable[[Page], None]:
    def choose(page: Page) -> None:
        page.get_by_text("Ollama", exact=True).click()
        _server(page, address, "llama-test:latest")
    return choose


def digits_and_others(database: str, others: int = 40) -> str:
    """Eight features that are about digits, and others that may be about anything, as the page takes them."""
    engine = open_store(database)
    with session(engine) as work:
        found = [feature for feature, _label in list_features(
            work, get_extraction(work).id, FeatureFilter(states=("live",), min_density=0.001), sort="max_activation",
            descending=True, limit=None)]
    engine.dispose()
    digits = [feature for feature in found if sum(str(top[0]).isdigit() for top in feature.top_tokens[:4]) >= 3]
    return ",".join(str(feature.index) for feature in [*digits[:8], *found[:others]])


def by_embedded(page: Page) -> None:
    page.get_by_text("Embedded", exact=True).click()


def _fill(page: Page, name: str, value: str) -> None:
    box = page.get_by_label(name, exact=True)
    box.fill(value)
    box.press("Enter")
    settled(page)


def _server(page: Page, address: str, model: str) -> None:
    _fill(page, "Server address", address)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("Connected. The server offers")).to_be_visible()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=model, exact=True).click()
    settled(page)


def watch_labels_arrive(page: Page, pictures: Path) -> None:
    """Scene 3: the run goes on in the background, labels appear, and a reload loses nothing."""
    start_button(page).click()
    landed = page.locator(".ms-landed")
    expect(landed.first).to_be_visible()
    before = labeled(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(landed.nth(5)).to_be_visible()
    to_top(page)
    page.screenshot(path=pictures / "3-labels-arrive.png")
    page.reload()
    page.wait_for_selector("h1")
    expect(landed.first).to_be_visible()
    assert labeled(page) >= before, "what was labeled before the reload is still there"


def labeled(page: Page) -> int:
    """How many labels the live panel counts."""
    metric = page.get_by_test_id("stMetric").filter(has_text=re.compile("^Labeled"))
    return int(metric.get_by_test_id("stMetricValue").inner_text().replace(",", ""))


def wait_for_the_end(page: Page, kind: str, timeout: float = 240_000) -> None:
    expect(page.get_by_text(re.compile(rf"^Run \d+ · {kind} · done"))).to_be_visible(timeout=timeout)
    settled(page)


def measure(page: Page) -> None:
    """Score the labels of the run that has ended by their meaning, which asks nobody."""
    page.get_by_role("button", name="Score the labels").click()
    page.get_by_role("button", name=re.compile(r"^Score [\d,]+ features$")).click()
    wait_for_the_end(page, "scoring")


def review_and_edit(page: Page, pictures: Path) -> tuple[int, str]:
    """Scene 4: have the label that most needs it made again, edit the next, approve the best beside its examples.

    Returns the index of the edited feature and its new label.
    """
    page.get_by_role("link", name=re.compile("Review$")).first.click()
    expect(page.locator("h1")).to_have_text("Review")
    settled(page)
    expect(page.locator(".ms-row").first).to_be_visible()
    regenerate(page)
    go_on(page)
    page.reload()  # typing into a page that is still being drawn is nobody's habit
    settled(page)
    index = feature_in(page)
    page.get_by_role("button", name="Edit").click()
    box = page.get_by_label("Label", exact=True)
    expect(box).not_to_have_value("")  # the field is drawn a moment before what stands in it
    text = f"{box.input_value()} (checked)"
    box.fill(text)
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".ms-label").first).to_have_text(text)
    settled(page)
    choose_option(page, "Order", "Highest score")
    # What was edited has left the queue.
    expect(page).to_have_url(re.compile(rf"[?&]f=(?!{index}(&|$))\d"))
    settled(page)
    best = feature_in(page)
    shot(page, pictures, "4-review")
    page.get_by_role("button", name="Approve").click()
    expect(page).not_to_have_url(re.compile(f"f={best}(&|$)"))
    settled(page)
    return index, text


def regenerate(page: Page) -> None:
    """Have a label made again. The embedded labeler finds no end for one feature in twenty, and says so: then the next
    one's."""
    said = page.get_by_text(re.compile("New label:|The embedded labeler did not come to an end"))
    for _feature in range(5):
        page.get_by_role("button", name="Regenerate").click()
        expect(said.first).to_be_visible()
        if said.first.inner_text().startswith("New label:"):
            settled(page)
            return
        go_on(page)
    raise AssertionError("no label was made again")


def go_on(page: Page) -> None:
    """To the next feature of the queue."""
    first = feature_in(page)
    page.get_by_role("button", name="Next").click()
    expect(page).not_to_have_url(re.compile(f"f={first}(&|$)"))
    settled(page)


def feature_in(page: Page) -> int:
    """The feature that Review shows, once it shows the one in the address."""
    title = page.get_by_text(re.compile(r"^Feature [\d,]+ ·")).first
    if asked := re.search(r"[?&]f=(\d+)", page.url):
        expect(title).to_have_text(re.compile(f"^Feature {int(asked[1]):,} ·"))
    return int(re.match(r"Feature ([\d,]+)", title.inner_text())[1].replace(",", ""))


def search(page: Page, pictures: Path, words: dict[str, str]) -> None:
    """Scene 5: each word finds labels that fit, by meaning too.

    ``words`` gives what one of the first labels must match.
    """
    page.get_by_role("link", name=re.compile("Search$")).first.click()
    expect(page.locator("h1")).to_have_text("Search")
    settled(page)
    for word, fitting in words.items():
        page.get_by_role("button", name=word, exact=True).click()
        expect(page).to_have_url(re.compile(f"q={word}"))
        expect(page.get_by_text("best match first")).to_be_visible()
        settled(page)
        first = page.locator(".ms-label").all_inner_texts()[:5]
        assert any(re.search(fitting, label, re.IGNORECASE) for label in first), (word, first)
    shot(page, pictures, "5-search")
    best = page.locator(".ms-label").first.inner_text()
    page.get_by_role("link", name=re.compile("Open$")).first.click()
    expect(page.locator("h1")).to_have_text("Browse")
    expect(page.locator(".ms-label").first).to_have_text(best)


def close_on_the_labeled_browser(page: Page, pictures: Path, address: str, index: int, text: str) -> None:
    """Scene 6: the browser with its labels.

    Feature ``index`` has the label ``text``.
    """
    page.goto(f"{address}/browse?f={index}")
    settled(page)
    expect(page.locator(".ms-label").first).to_have_text(text)
    page.goto(f"{address}/browse?labels=Labeled&sort=Score&desc=true")
    open_row(page, 3)
    expect(page.get_by_text("No label yet")).to_have_count(0)
    shot(page, pictures, "6-browse-labeled")
