"""Look at a database without changing it."""

from pathlib import Path
from typing import NamedTuple

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from mistudio.errors import StoreError
from mistudio.settings import settings
from mistudio.store.engine import MIGRATIONS, open_store


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
    file = _file(url)
    if file is not None and not file.exists():
        return Looked("new", f"{file} is made when it is first opened")
    engine = open_store(url, upgrade=False)
    try:
        with engine.connect() as connection:
            if file is not None:
                _check_file(connection, file)
            return _version(connection, str(file or engine.url.render_as_string(hide_password=True)))
    except DBAPIError as error:
        raise StoreError(f"The database cannot be read: {error.orig}", "Check the file or the server, or restore a "
                         "backup.") from error
    finally:
        engine.dispose()


def _file(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


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


def _version(connection: Connection, shown: str) -> Looked:
    scripts = ScriptDirectory.from_config(_config())
    found, newest = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if found is None:
        if inspect(connection).get_table_names():
            raise StoreError(f"The database {shown} holds tables of another program.", "Use another database.")
        return Looked("new", f"{shown} is empty; its tables are made when it is first opened")
    try:
        scripts.get_revision(found)
    except CommandError as error:
        raise StoreError(f"The database {shown} was written by a newer mistudio (schema {found}; this one knows "
                         f"{newest}).", "Upgrade mistudio, or use another database.") from error
    if found != newest:
        return Looked("old", f"{shown} has schema {found}; opening it upgrades it to {newest}")
    size = connection.execute(text("SELECT pg_database_size(current_database())" if connection.dialect.name ==
                                   "postgresql" else "SELECT page_count * page_size FROM pragma_page_count(), "
                                   "pragma_page_size()")).scalar_one()
    return Looked("current", f"{shown}, schema {found}, {size / 1e6:,.0f} MB")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
