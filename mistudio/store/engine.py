"""The one database engine: SQLite by default, PostgreSQL by URL; brought up to the newest schema when opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlmodel import Session, create_engine

from mistudio.errors import StoreError
from mistudio.settings import settings

MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(url: str | None = None, *, upgrade: bool = True) -> Engine:
    """Open (and create or upgrade) the database.

    Args:
        url: SQLAlchemy URL; the settings' database when not given.
        upgrade: without it the database must be there, and stays as it is.

    Raises:
        StoreError: the URL is wrong, the server cannot be reached, or the file is not a mistudio database.
    """
    url = url or settings().url
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if upgrade and parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        # A run's threads hold a connection each while they work out what to show; the pool's usual 15 are too few.
        engine = create_engine(parsed, max_overflow=-1)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_pragmas)
        if upgrade:
            _upgrade(engine)
        else:
            engine.connect().close()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"The database URL {_shown(url)!r} is not valid.",
                         "Use sqlite:///path/to/file.db or postgresql://user@host/name.") from error
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


def newest_version() -> str:
    """The version of the schema that this code works with: migrations are numbered."""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(engine: Engine) -> None:
    with engine.begin() as connection:
        if _version(connection) != newest_version():
            _migrate(connection)


def _version(connection: Connection) -> str | None:
    """The version that a database has; None of a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    # Mostly there is nothing to do, and every start would wait for this import.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(f"The database {connection.engine.url} was written by another version of "
                         f"mistudio: {error}.", "Upgrade mistudio, or use another database.") from error


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
