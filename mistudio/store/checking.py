"""Look at a database without changing it."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mistudio.errors import StoreError
from mistudio.settings import settings
from mistudio.store.engine import open_store, shown, sqlite_file
from mistudio.store.failures import failure
from mistudio.store.schema import version_of, versions


class Looked(NamedTuple):
    """What is there: ``state`` is new (nothing yet), current, or old (an earlier version's; opening it upgrades it)."""

    state: str
    text: str


def look_at(url: str | None = None) -> Looked:
    """Whether a database can be reached, whose version it is, and for SQLite whether the file is whole and writable.

    Args:
        url: SQLAlchemy URL; the settings' database when not given.

    Raises:
        StoreError: it cannot be used; the message says why.
    """
    url = url or settings().url
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return Looked("new", f"{file} is made when it is first opened")
    engine = open_store(url, upgrade=False)
    try:
        with engine.connect() as connection:
            if file is not None:
                _check_file(connection, file)
            return _version(connection, str(file or shown(url)))
    except DBAPIError as error:
        raise failure(error) from error
    finally:
        engine.dispose()


def _check_file(connection: Connection, file: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise StoreError(f"The database {file} is damaged: {found}", "Restore a backup, or move the file away.")
    connection.rollback()
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        raise StoreError(f"The database {file} cannot be written: {error.orig}", "Let this user write the file and its "
                         "folder; where it is locked, end the program that holds it.") from error
    connection.rollback()


def _version(connection: Connection, name: str) -> Looked:
    found, newest = version_of(connection, name), versions()[-1]
    if found is None:
        return Looked("new", f"{name} is empty; its tables are made when it is first opened")
    if found != newest:
        return Looked("old", f"{name} has schema {found}; opening it upgrades it to {newest}")
    size = connection.execute(text("SELECT pg_database_size(current_database())" if connection.dialect.name ==
                                   "postgresql" else "SELECT page_count * page_size FROM pragma_page_count(), "
                                   "pragma_page_size()")).scalar_one()
    return Looked("current", f"{name}, schema {found}, {size / 1e6:,.0f} MB")
