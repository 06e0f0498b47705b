"""The one database engine: SQLite by default, PostgreSQL by URL; brought up to the newest schema when opened.

The database itself refuses what a visitor may not do: each connection is read-only while such a one uses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import Engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlmodel import Session, create_engine

from mistudio.access import acting_as, owner, require_read, require_write, visitor
from mistudio.errors import StoreError
from mistudio.settings import settings

MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(url: str | None = None) -> Engine:
    """Open (and create or upgrade) the database.

    Args:
        url: SQLAlchemy URL; the settings' database when not given.

    Raises:
        StoreError: the URL is wrong, the server cannot be reached, or the file is not a mistudio database.
    """
    url = url or settings().url
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        # A run's threads hold a connection each while they work out what to show; the pool's usual 15 are too few.
        engine = create_engine(parsed, max_overflow=-1)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_pragmas)
        event.listen(engine, "checkout", _sqlite_rights if engine.dialect.name == "sqlite" else _postgresql_rights)
        event.listen(engine, "handle_error", _refused)
        with acting_as(owner()):
            _upgrade(engine)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"The database URL {_shown(url)!r} is not valid.",
                         "Use sqlite:///path/to/file.db or postgresql://user@host/name.") from error
    except CommandError as error:
        raise StoreError(f"The database {_shown(url)} was written by another version of mistudio: {error}.",
                         "Upgrade mistudio, or use another database.") from error
    except (OperationalError, DatabaseError) as error:
        raise StoreError(f"The database {_shown(url)} cannot be opened: {error.orig}",
                         "Check the path or address, and that the file is a mistudio database.") from error
    except OSError as error:
        raise StoreError(f"The folder of the database {_shown(url)} cannot be made: {error.strerror}.",
                         "Set MISTUDIO_DATABASE_URL or MISTUDIO_DATA_DIR to a place that can be written.") from error
    return engine


@contextmanager
def session(engine: Engine) -> Iterator[Session]:
    """One unit of work: commits at the end, rolls back on an error. Objects stay readable afterwards."""
    with Session(engine, expire_on_commit=False) as work:
        yield work
        work.commit()


def _sqlite_pragmas(connection, _record) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "busy_timeout=5000", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_rights(connection, record, _proxy) -> None:
    """Raises: AccessError, where the visitor may not even read."""
    require_read()
    read_only = not visitor().may_write
    if record.info.get("read_only", False) != read_only:
        connection.execute(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        record.info["read_only"] = read_only


def _postgresql_rights(connection, _record, _proxy) -> None:
    """As for SQLite."""
    require_read()
    read_only = not visitor().may_write
    if bool(connection.read_only) != read_only:
        connection.read_only = read_only or None


def _refused(context: ExceptionContext) -> None:
    """Raises: AccessError, where the visitor's rights are why the database refuses."""
    error = context.original_exception
    name = getattr(error, "sqlite_errorname", None) or ""  # psycopg's errors have none
    if name.startswith("SQLITE_READONLY") or isinstance(error, ReadOnlySqlTransaction):
        require_write()


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
