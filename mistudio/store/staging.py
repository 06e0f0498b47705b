"""Windows set aside on disk while they are read: they come in any order, and leave feature by feature."""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mistudio.errors import StoreError
from mistudio.store.examples import SOURCES, Reference

# A window in which the feature is silent, or one that says what is active in it: no example of the feature.
SILENT = len(SOURCES)
_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE text (id INTEGER PRIMARY KEY, digest BLOB UNIQUE, document INTEGER, split INTEGER, tokens BLOB,
                   length INTEGER, complete INTEGER DEFAULT 0);
CREATE TABLE feature (number INTEGER PRIMARY KEY, given TEXT);
CREATE TABLE label (feature INTEGER, label TEXT);
CREATE TABLE active (feature INTEGER, text INTEGER, source INTEGER, place REAL, position BLOB, value BLOB,
                     PRIMARY KEY (feature, text, source)) WITHOUT ROWID;
CREATE INDEX label_feature ON label (feature);
"""
# Texts that are said to be complete, or of which there are windows of all features, silent ones among them.
_COMPLETE = f"""
SELECT id, tokens, document, split FROM text WHERE complete
   OR (SELECT count(DISTINCT feature) FROM active WHERE text = text.id) = (SELECT count(*) FROM feature)
   AND EXISTS (SELECT 1 FROM active WHERE text = text.id AND source = {SILENT} AND length(position) = 0)
ORDER BY digest LIMIT ?
"""


class Window(NamedTuple):
    """A feature in a text: text number, its tokens ``[n]`` int32, document hash and split; source (index into
    ``SOURCES``, or ``SILENT``); position ``[m]`` and value ``[m]`` float32 of the nonzero activations."""

    text: int
    tokens: np.ndarray
    document: int
    split: int
    source: int
    position: np.ndarray
    value: np.ndarray


class StagedFeature(NamedTuple):
    """A feature, what was given of it, its windows (by split and source; top ones strongest first, random ones in
    random order), and its labels in order."""

    index: int
    given: dict
    windows: Iterator[Window]
    labels: list[dict]


class Staging:
    """A temporary database of what was read so far. Memory does not grow with it."""

    def __init__(self, connection: sqlite3.Connection):
        self._db = connection
        self._db.executescript(_SCHEMA)

    def add_text(self, tokens: np.ndarray, document: int, split: int, complete: bool = False) -> int:
        """The number of a text (tokens ``[n]`` int32 of one document), the same one if it was there already.

        Args:
            complete: every feature that no window with this text names is silent in it.
        """
        packed = tokens.astype("<i4").tobytes()
        digest = hashlib.blake2b(packed + document.to_bytes(8), digest_size=16).digest()
        self._db.execute("INSERT OR IGNORE INTO text (digest, document, split, tokens, length) VALUES (?, ?, ?, ?, ?)",
                         (digest, document, split, packed, len(tokens)))
        if complete:
            self._db.execute("UPDATE text SET complete = 1 WHERE digest = ?", (digest,))
        return self._db.execute("SELECT id FROM text WHERE digest = ?", (digest,)).fetchone()[0]

    def add_window(self, index: int, text: int, source: int, values: np.ndarray) -> None:
        """A feature's activations (``[n]`` float32) on a text; said again of the same source, it is not kept twice."""
        self.touch(index)
        position = np.flatnonzero(values)
        # Random windows leave in an order that has nothing to do with the one they came in.
        place = -float(values.max(initial=0)) if source == SOURCES.index("top") else _scattered(index, text)
        self._db.execute("INSERT OR IGNORE INTO active VALUES (?, ?, ?, ?, ?, ?)", (
            index, text, source if len(position) else SILENT, place, position.astype("<u4").tobytes(),
            values[position].astype("<f4").tobytes()))

    def add_label(self, index: int, label: dict) -> None:
        """One label of a feature."""
        self.touch(index)
        self._db.execute("INSERT INTO label VALUES (?, ?)", (index, json.dumps(label)))

    def give(self, index: int, given: dict) -> bool:
        """Keep what is given of a feature as a whole; False when something was given before."""
        self.touch(index)
        return self._db.execute("UPDATE feature SET given = ? WHERE number = ? AND given IS NULL",
                                (json.dumps(given), index)).rowcount == 1

    def touch(self, index: int) -> None:
        """Note that there is such a feature."""
        self._db.execute("INSERT OR IGNORE INTO feature (number) VALUES (?)", (index,))

    def sizes(self) -> tuple[int, int, int, int, int]:
        """Features, the largest index (-1 without any), texts, their tokens, and tokens of the longest."""
        features, largest = self._db.execute("SELECT count(*), ifnull(max(number), -1) FROM feature").fetchone()
        return features, largest, *self._db.execute(
            "SELECT count(*), ifnull(sum(length), 0), ifnull(max(length), 0) FROM text").fetchone()

    def features(self) -> Iterator[StagedFeature]:
        """Every feature in order of index. Take a feature's windows before the next feature."""
        rows = self._db.execute(
            "SELECT feature.number, given, text.id, tokens, document, split, source, position, value FROM feature "
            "LEFT JOIN active ON active.feature = feature.number LEFT JOIN text ON text.id = active.text "
            "ORDER BY feature.number, split, source, place, text.id")
        for (index, given), mine in groupby(rows, key=lambda row: row[:2]):
            labels = self._db.execute("SELECT label FROM label WHERE feature = ? ORDER BY rowid", (index,))
            yield StagedFeature(index, json.loads(given or "{}"), (_window(row[2:]) for row in mine if row[2]),
                                [json.loads(label) for label, in labels])

    def references(self, most: int, window: int) -> list[Reference]:
        """At most so many texts of which every feature's activations are known, each cut after ``window`` tokens."""
        self._db.execute("CREATE INDEX IF NOT EXISTS active_text ON active (text)")
        return [self._reference(text, np.frombuffer(tokens, "<i4")[:window], document, split, window)
                for text, tokens, document, split in self._db.execute(_COMPLETE, (most,)).fetchall()]

    def _reference(self, text: int, tokens: np.ndarray, document: int, split: int, window: int) -> Reference:
        parts = {}
        for index, position, value in self._db.execute(
                "SELECT feature, position, value FROM active WHERE text = ? ORDER BY feature", (text,)):
            parts[index] = (np.frombuffer(position, "<u4"), np.frombuffer(value, "<f4"))
        feature, position, value = (np.concatenate([np.zeros(0, dtype), *found]) for dtype, found in (
            (np.int64, [np.full(len(at), index) for index, (at, _value) in parts.items()]),
            (np.int64, [at for at, _value in parts.values()]), (np.float32, [value for _at, value in parts.values()])))
        inside = position < window
        padded = np.full(window, -1, dtype=np.int32)
        padded[:len(tokens)] = tokens
        return Reference(padded, split, document, feature[inside], position[inside], value[inside])


def _window(row: tuple) -> Window:
    text, tokens, document, split, source, position, value = row
    return Window(text, np.frombuffer(tokens, "<i4"), document, split, source, np.frombuffer(position, "<u4"),
                  np.frombuffer(value, "<f4"))


def _scattered(index: int, text: int) -> float:
    return int.from_bytes(hashlib.blake2b(f"{index} {text}".encode(), digest_size=6).digest())


@contextmanager
def staging() -> Iterator[Staging]:
    """A staging place that is gone afterwards, whatever happens.

    Raises:
        StoreError: the temporary folder is full or cannot be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="mistudio-")
    except OSError as error:
        raise _no_place(error) from error
    with folder:
        connection = sqlite3.connect(Path(folder.name) / "staging.db")
        try:
            yield Staging(connection)
        except sqlite3.Error as error:
            raise _no_place(error) from error
        finally:
            connection.close()


def _no_place(error: Exception) -> StoreError:
    return StoreError(f"The temporary folder cannot be used: {error}.",
                      "Free space, or name another folder in TMPDIR.")
