"""A whole database moved into another, empty one, of either kind: every row as it is, in one transaction, compared
afterwards."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from mistudio.errors import StoreError
from mistudio.store.engine import shown, sqlite_file
from mistudio.store.failures import failure
from mistudio.store.labels import index_words
from mistudio.store.storable import storable_values
from mistudio.store.tables import FeatureCount, SQLModel

BATCH = 500
_COUNTS = FeatureCount.__table__
# Each table after those that it points at. The database counts features itself while they come, so that these rows are
# replaced in the end.
TABLES = [*(table for table in SQLModel.metadata.sorted_tables if table is not _COUNTS), _COUNTS]
Progress = Callable[[str, float, str], None]


class Copied(NamedTuple):
    """Rows by table, and how many of them held a character that PostgreSQL cannot store (``store.storable``)."""

    rows: dict[str, int]
    replaced: int


def must_exist(url: str) -> None:
    """Raises: StoreError, when there is no such SQLite file; to open it would make one."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise StoreError(f"There is no file {file}.", "Check the path: sqlite:///path/to/file.db")


def copy(source: Engine, target: Engine, progress: Progress) -> Copied:
    """Copy everything, as it is at one moment, with the numbers that it has. Memory does not grow with it.

    Raises:
        StoreError: there is something in the target already, a row does not fit, or what arrived is not what was sent.
            The target is left as empty as it was.
    """
    try:
        with _snapshot(source) as reading, target.begin() as writing:
            _take(writing, target)
            total = {table.name: _count(reading, table) for table in TABLES}
            sent, replaced = {}, 0
            for table, done in _walk("Copying", total, progress):
                sent[table.name] = digest = Digest()
                if table is _COUNTS:
                    writing.execute(delete(table))
                for rows in _rows(reading, table):
                    fit = [{name: storable_values(value) for name, value in row.items()} for row in rows]
                    replaced += sum(row != before for row, before in zip(fit, rows, strict=True))
                    writing.execute(insert(table), fit)
                    digest.add(fit)
                    done(len(rows))
            _finish(writing)
            for table, done in _walk("Checking", total, progress):
                arrived = Digest()
                for rows in _rows(writing, table):
                    arrived.add(rows)
                    done(len(rows))
                if arrived != sent[table.name]:
                    raise StoreError(f"What arrived in the table {table.name} is not what was sent, so nothing was "
                                     "copied.", "Please report this with the versions of both databases.")
    except IntegrityError as error:
        raise StoreError(f"A row of the source breaks a rule of the database, so nothing was copied: {error.orig}",
                         "The source is damaged: for SQLite, PRAGMA foreign_key_check says where.") from error
    except DBAPIError as error:
        known = failure(error)
        raise StoreError(f"Nothing was copied. {known.message}", known.hint) from error
    return Copied(total, replaced)


def _snapshot(source: Engine) -> Connection:
    """A connection that sees the source as it is now, whoever writes to it meanwhile."""
    if source.dialect.name == "sqlite":
        connection = source.connect()
        connection.exec_driver_sql("BEGIN")  # the driver begins none for reading
        return connection
    return source.connect().execution_options(isolation_level="REPEATABLE READ")


def _take(writing: Connection, target: Engine) -> None:
    """Keep others from writing to the target, which must be empty."""
    if target.dialect.name == "sqlite":
        writing.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        writing.execute(text("LOCK TABLE extraction, vocabulary IN SHARE ROW EXCLUSIVE MODE"))
    held = [table.name for table in TABLES if writing.execute(select(table).limit(1)).first() is not None]
    if held:
        raise StoreError(f"The database {shown(str(target.url))} is not empty: its table {held[0]!r} has rows. Nothing "
                         "was copied.", "Name a new SQLite file or a new PostgreSQL database.")


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _walk(step: str, total: dict[str, int], progress: Progress) -> Iterator[tuple[Table, Callable[[int], None]]]:
    """Every table, with a function to say how many of its rows are done."""
    for table in TABLES:
        done = [0]

        def say(rows: int, name: str = table.name, done: list[int] = done) -> None:
            done[0] += rows
            progress(f"{step} {name}", done[0] / max(total[name], 1), f"{done[0]:,} of {total[name]:,}")

        say(0)
        yield table, say


def _rows(connection: Connection, table: Table) -> Iterator[list[dict]]:
    """All rows in the order of the primary key, some at a time."""
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
    for rows in connection.execute(query).mappings().partitions():
        yield [dict(row) for row in rows]


@dataclass
class Digest:
    """How many rows there were, and a sum of their hashes: databases do not agree on the order of text."""

    rows: int = 0
    hashes: int = 0

    def add(self, rows: list[dict]) -> None:
        self.rows += len(rows)
        for row in rows:
            told = repr([_told(value) for value in row.values()]).encode()
            self.hashes = (self.hashes + int.from_bytes(hashlib.blake2b(told, digest_size=16).digest())) % 2**128


def _told(value: object) -> object:
    if isinstance(value, bytes):
        return hashlib.blake2b(value).digest()
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict | list) else value


def _finish(writing: Connection) -> None:
    """What a database has beside its rows: SQLite's index of words, and where PostgreSQL's numbers go on."""
    if writing.dialect.name == "sqlite":
        index_words(writing)
        return
    for table in TABLES:
        if "id" in table.c:
            last = writing.execute(select(func.max(table.c.id))).scalar_one()
            writing.execute(text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last, :used)"),
                            {"table": table.name, "last": last or 1, "used": last is not None})
