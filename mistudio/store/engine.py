"""The one database engine: SQLite by default, PostgreSQL by URL; brought up to the newest schema when opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlmodel import Session, create_engine

from mistudio.access import acting_as, owner
from mistudio.errors import StoreError
from mistudio.settings import settings
from mistudio.store import schema
from mistudio.store.failures import failure
from mistudio.store.rights import keep_rights
from mistudio.store.storable import as_json

# How long a writer waits for another one.
BUSY_SECONDS = 5
CONNECT_SECONDS = 10


def open_store(url: str | None = None, *, upgrade: bool = True) -> Engine:
    """Open (and create or upgrade) the database.

    Args:
        url: SQLAlchemy URL; the settings' database when not given.
        upgrade: without it the database must be there, and stays as it is.

    Raises:
        StoreError: the URL is wrong, the server cannot be reached, or the file is not a mistudio database or of a
            newer version. The database is left as it was.
    """
    url = url or settings().url
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        file = sqlite_file(url)
        if upgrade and file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        server = parsed.get_backend_name() == "postgresql"
        # A run's threads hold a connection each while they work out what to show; the pool's usual 15 are too few.
        # After a restart of a server all that the pool holds are dead: it looks before it gives one out.
        engine = create_engine(parsed, max_overflow=-1, json_serializer=as_json, pool_pre_ping=server)
        event.listen(engine, "connect", _postgresql_settings if server else _sqlite_pragmas)
        if server and "connect_timeout" not in parsed.query:
            event.listen(engine, "do_connect", _not_for_ever)
        keep_rights(engine)
        with acting_as(owner()):
            if upgrade:
                schema.upgrade(engine, shown(url))
            else:
                engine.connect().close()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"The database URL {shown(url)!r} is not valid.",
                         "Use sqlite:///path/to/file.db or postgresql://user@host/name.") from error
    except DBAPIError as error:
        known = failure(error)
        raise StoreError(f"The database {shown(url)} cannot be opened. {known.message}", known.hint) from error
    except OSError as error:
        raise StoreError(f"The folder of the database {shown(url)} cannot be made: {error.strerror}.",
                         "Set MISTUDIO_DATABASE_URL or MISTUDIO_DATA_DIR to a place that can be written.") from error
    return engine


@contextmanager
def session(engine: Engine) -> Iterator[Session]:
    """One unit of work: commits at the end, rolls back on an error. Objects stay readable afterwards."""
    with Session(engine, expire_on_commit=False) as work:
        yield work
        work.commit()


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None of another one, and of what is no URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def _sqlite_pragmas(connection, _record) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", f"busy_timeout={1000 * BUSY_SECONDS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _postgresql_settings(connection, _record) -> None:
    connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    connection.commit()


def _not_for_ever(_dialect, _record, _arguments, options) -> None:
    options["connect_timeout"] = CONNECT_SECONDS
