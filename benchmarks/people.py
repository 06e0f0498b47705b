"""People who use the app for ``benchmarks.load``: what they do, how long each thing took, and what they wrote."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import pyarrow
from websockets.exceptions import ConnectionClosed

from mistudio.store import Feature, Label
from tests.tab import Tab, key_of

# What people do on a page, and how often beside the others there; what cannot be done at the moment is passed over.
ACTIONS = {
    "Browse": {"open_a_feature": 5, "turn_the_page": 2, "filter_by_state": 1, "filter_by_text": 1, "sort": 1,
               "look_at_another_tab": 1, "star": 1, "note": 1},
    "Review": {"go_on": 3, "approve": 4, "star_in_review": 1, "edit": 1},
    "Search": {"search_a_word": 3, "search_by_meaning": 1, "open_a_hit": 2},
    "Home": {"look_at_another_view": 1},
    "Label": {"choose_other_features": 1}}
PAGES = {"Browse": 8, "Review": 6, "Search": 4, "Home": 1, "Label": 1}
STAY = (4, 12)  # actions on a page, from and to
PAGES_A_TAB = 5
WORDS = ("court", "python", "digits", "brackets", "prices", "poems", "medical", "headers", "quotes", "verbs", "months",
         "metals", "recipes", "patents", "keywords", "commas", "maps", "invoices", "letters", "questions", "verses")
SORTS = ("Index", "Score", "Density", "Maximum", "Label", "Need")
TABS = ("Examples", "Statistics", "Scores", "History", "Related")
STATES = ("Any", "Unreviewed", "Approved", "Human", "Labeled")
ARRIVE = 0.1  # of the time, in which all have come


@dataclass(frozen=True)
class Write:
    """Something written to a feature. No two people write to the same one."""

    what: str
    index: int
    value: str

    def is_in(self, feature: Feature, label: Label | None) -> bool:
        """Whether the feature, and its current label, hold it."""
        return {"star": feature.starred, "note": feature.note == self.value,
                "approve": label is not None and label.verdict == "approved" and feature.label_state == "approved",
                "edit": label is not None and label.text == self.value and label.origin == "human"}[self.what]


class Crowd:
    """Everybody, and what came of it: waits in seconds by what was done, errors shown, writes that the page then showed
    as done, and clicks that did nothing. They work for so many seconds, and until there are ``least`` writes."""

    def __init__(self, address: str, features: int, people: int, seconds: float, think: float, least: int = 0):
        self.address, self.features, self.people = address, features, people
        self.seconds, self.think, self.least = seconds, think, least
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.refreshed: list[float] = []
        self.reloads = 0
        self.errors: list[str] = []
        self.writes: list[Write] = []
        self.ignored: list[str] = []
        self.taken: set[int] = set()

    async def work(self) -> None:
        self.until = time.monotonic() + self.seconds
        await asyncio.gather(*(Person(self, number).live() for number in range(self.people)))

    @property
    def going(self) -> bool:
        return time.monotonic() < self.until or len(self.writes) < self.least

    def take(self, index: int) -> bool:
        """Whether nobody has written to this feature; now somebody does."""
        free = index not in self.taken
        self.taken.add(index)
        return free


class Person:
    """Goes from page to page, and now and then opens a new tab."""

    def __init__(self, crowd: Crowd, number: int):
        self.crowd, self.number = crowd, number
        self.random = Random(number)
        self.pages: dict[str, str] = {}
        self.tab: Tab

    async def live(self) -> None:
        await asyncio.sleep(self.random.uniform(0, ARRIVE * self.crowd.seconds))
        try:
            while self.crowd.going:
                async with Tab(self.crowd.address) as self.tab:
                    self.tab.refreshed = self.crowd.refreshed
                    await self.timed("Home: first visit", self.tab.visit())
                    await self.use_the_tab()
                    self.crowd.reloads += self.tab.reloads
        except (LookupError, OSError, ConnectionClosed) as error:
            self.crowd.errors.append(f"person {self.number}: {type(error).__name__}: {error}")

    async def use_the_tab(self) -> None:
        for _page in range(PAGES_A_TAB):
            await self.pause()
            await self.open(self.pick(PAGES))
            for _action in range(self.random.randint(*STAY)):
                await self.pause()
                if not self.crowd.going:
                    return
                # A hit of a search opens in Browse.
                await getattr(self, self.pick(ACTIONS[self.pages.get(self.tab.page, "Browse")]))()

    async def open(self, page: str) -> None:
        # Reviewers who all began with the first label of the queue would stay together.
        start = {"f": self.random.randrange(self.crowd.features)} if page == "Review" else {}
        await self.timed(f"{page}: open", self.tab.follow(page, **start))
        self.pages[self.tab.page] = page

    def pick(self, weighted: dict[str, int]) -> str:
        return self.random.choices(list(weighted), list(weighted.values()))[0]

    async def pause(self) -> None:
        await asyncio.sleep(self.crowd.think * self.random.uniform(0.5, 1.5))

    async def timed(self, what: str, action: Awaitable[float]) -> None:
        seen = len(self.tab.errors)
        self.crowd.waits[what].append(await action)
        self.crowd.errors += [f"person {self.number}, {what}: {text}" for text in self.tab.errors[seen:]]

    async def write(self, what: str, action: Awaitable[float], done: Callable[[], bool], value: str = "") -> None:
        """``done`` says whether the page shows it as done."""
        index = self.feature
        await self.timed(what, action)
        if done():
            self.crowd.writes.append(Write(what.split(": ")[1], index, value))
        else:
            self.crowd.ignored.append(f"{what} of feature {index}")

    @property
    def feature(self) -> int | None:
        """The one that is open."""
        text = self.tab.parameter("f")
        return int(text) if text else None

    async def open_a_feature(self) -> None:
        table = self.tab.shown("dataframe")
        if not table:
            await self.timed("Browse: clear the filter", self.tab.press(
                next(label for label in self.tab.buttons() if label.startswith("Clear"))))
            return
        rows = pyarrow.ipc.open_stream(table[0].arrow_data.data).read_all().num_rows
        click = {"selection": {"rows": [], "columns": [], "cells": [[self.random.randrange(rows), "label"]]}}
        await self.timed("Browse: open a feature", self.tab.set(key_of(table[0]), json.dumps(click)))

    async def turn_the_page(self) -> None:
        pages = self.tab.shown("pagination")[0].num_pages
        await self.timed("Browse: turn the page", self.tab.set("page", self.random.randint(1, min(7, pages))))

    async def filter_by_state(self) -> None:
        await self.timed("Browse: filter by state", self.tab.set("labels", self.random.choice(STATES)))

    async def filter_by_text(self) -> None:
        await self.timed("Browse: filter by text", self.tab.set("text", self.random.choice(WORDS)))

    async def sort(self) -> None:
        await self.timed("Browse: sort", self.tab.set("sort", self.random.choice(SORTS)))

    async def look_at_another_tab(self) -> None:
        if self.feature is None:
            await self.open_a_feature()
        else:
            await self.timed("Browse: look at another tab", self.tab.set("tab", self.random.choice(TABS)))

    async def star(self) -> None:
        if self.feature is None or not self.crowd.take(self.feature):
            await self.open_a_feature()
        else:
            await self.write("Browse: star", self.tab.set("Star", True), lambda: self.tab.widget("Star").value)

    async def note(self) -> None:
        if self.feature is None or self.feature in self.crowd.taken:
            await self.open_a_feature()
            return
        await self.timed("Browse: look at another tab", self.tab.set("tab", "Note"))
        await self.pause()
        if self.crowd.take(self.feature):
            text = f"Seen by {self.number} after {len(self.crowd.writes)} others."
            await self.write("Browse: note", self.tab.set("Note", text),
                             lambda: self.tab.shown("text_area")[0].value == text, text)

    async def go_on(self) -> None:
        await self.timed("Review: next", self.tab.press("Next"))

    async def approve(self) -> None:
        if "Approve" not in self.tab.buttons() or not self.crowd.take(self.feature):
            await self.go_on()
        else:
            before = self.feature
            await self.write("Review: approve", self.tab.press("Approve"),
                             lambda: self.feature != before or "Approve" not in self.tab.buttons())

    async def star_in_review(self) -> None:
        if "Star" not in self.tab.buttons() or not self.crowd.take(self.feature):
            await self.go_on()
        else:
            await self.write("Review: star", self.tab.press("Star"), lambda: "Unstar" in self.tab.buttons())

    async def edit(self) -> None:
        if not self.crowd.take(self.feature):
            await self.go_on()
            return
        await self.timed("Review: open the form", self.tab.press("Edit"))
        await self.pause()
        text = f"as {self.number} calls it, {len(self.crowd.writes)}"
        self.tab.fill("Label", text)
        await self.write("Review: edit", self.tab.press("Save"),
                         lambda: any(text in html.body for html in self.tab.shown("html")), text)

    async def search_a_word(self) -> None:
        await self.timed("Search: a word", self.tab.set("q", self.random.choice(WORDS)))

    async def search_by_meaning(self) -> None:
        await self.timed("Search: by meaning", self.tab.set(
            "q", f"things about {self.random.choice(WORDS)} and {self.random.choice(WORDS)}"))

    async def open_a_hit(self) -> None:
        if any(link.label == "Open" for link in self.tab.shown("page_link")):
            await self.timed("Search: open a hit", self.tab.follow("Open"))
        else:
            await self.search_a_word()

    async def look_at_another_view(self) -> None:
        await self.timed("Home: another view", self.tab.set("view", [self.random.choice(("Overview", "Manage"))]))

    async def choose_other_features(self) -> None:
        await self.timed("Label: other features", self.tab.set(
            "Which features", [self.random.choice(("All unlabeled", "All labeled", "Everything"))]))


async def warm_up(address: str) -> None:
    """One person has seen every page before the others come, so that what is loaded once is loaded."""
    async with Tab(address) as tab:
        await tab.visit()
        for page in PAGES:
            await tab.follow(page)
        await tab.follow("Search")
        await tab.set("q", "things about courts")
