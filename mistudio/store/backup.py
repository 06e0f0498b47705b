"""A consistent copy of an SQLite database in one file, made while others write."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from mistudio.errors import StoreError

PAGES = 2000  # copied between two words about progress


def backup(engine: Engine, file: Path, progress: Callable[[str, float, str], None], *,
           overwrite: bool = False) -> dict[str, int]:
    """Copy an SQLite database as it is at one moment. The file is there once it is whole and checked, or not at all.

    Args:
        overwrite: take the place of a file that is there already.

    Returns:
        Rows in the copy, by table.

    Raises:
        StoreError: the database is on a server, the file is there already or cannot be written, or the copy is not
            what the database is.
    """
    if engine.dialect.name != "sqlite":
        raise StoreError("A PostgreSQL database is not backed up by mistudio.",
                         "Use pg_dump, or make an SQLite copy: python -m mistudio copy --from URL --to sqlite:///FILE")
    if file.exists() and not overwrite:
        raise StoreError(f"{file} is there already.", "Choose another name, or add --overwrite to replace it.")
    if file.exists() and file.samefile(engine.url.database):
        raise StoreError(f"{file} is the database itself.", "Choose another name.")
    draft = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        counts = _copy(engine.url.database, draft, progress)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(file)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file} could not be written: {error}",
                         "Check that its folder can be written and has room for it.") from error
    finally:
        draft.unlink(missing_ok=True)
    return counts


def _copy(database: str, draft: Path, progress: Callable[[str, float, str], None]) -> dict[str, int]:
    def say(_status: int, left: int, pages: int) -> None:
        progress("Copying", 1 - left / max(pages, 1), f"{pages - left:,} of {pages:,} pages")

    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(draft)) as copy:
        # Inside one reading, so that what others write meanwhile is neither in it nor makes it begin anew.
        source.execute("BEGIN")
        before = _counts(source)
        source.backup(copy, pages=PAGES, progress=say, sleep=0)
        # One file that can be read from anywhere, with no log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        progress("Checking", 0.0, "")
        [(found,), *_more] = copy.execute("PRAGMA integrity_check")
        if found != "ok":
            raise StoreError(f"The copy is damaged, because the database is: {found}. No file was written.",
                             f"Save what can be read: sqlite3 {database} .recover | sqlite3 NEW.db")
        after = _counts(copy)
        if after != before:
            raise StoreError("The copy has not as many rows as the database. No file was written.",
                             "Please report this.")
        progress("Checking", 1.0, "")
        return after


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND "
                                "name NOT LIKE 'label_fts%' AND name <> 'alembic_version' ORDER BY name").fetchall()
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name, in tables}
