"""The schema of a database: brought up to the newest when opened, all of it or nothing."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from mistudio.errors import StoreError
from mistudio.store.tables import SQLModel

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, so long as it is the same for all.
UPGRADING = 4_170_923


def versions() -> list[str]:
    """The schemas that this program knows, oldest first: migrations are numbered."""
    return sorted(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def version_of(connection: Connection, name: str) -> str | None:
    """The schema that a database has; None of an empty one.

    Args:
        name: what to call the database in messages.

    Raises:
        StoreError: it has a schema that this program does not know, or is another program's.
    """
    known, tables = versions(), set(inspect(connection).get_table_names())
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() \
        if "alembic_version" in tables else None
    if found is not None and found not in known:
        raise StoreError(f"The database {name} has schema {found}, of a newer mistudio; this one knows none after "
                         f"{known[-1]}. It was left as it is.", "Upgrade mistudio, or use another database.")
    others = tables if found is None else set()
    if connection.dialect.name != "sqlite":  # several programs may share one
        others &= set(SQLModel.metadata.tables)
    if others:
        raise StoreError(f"The database {name} is another program's: it has the table {min(others)!r}. It was left as "
                         "it is.", "Use a database of its own for mistudio.")
    return found


def upgrade(engine: Engine, name: str) -> None:
    """Bring a database from whichever earlier schema, or from none, to the newest.

    Args:
        name: what to call the database in messages.

    Raises:
        StoreError: it has a schema that this program does not know, or is another program's.
    """
    with engine.connect() as connection:
        if version_of(connection, name) == versions()[-1]:
            return
    # Mostly there is nothing to do, and every start would wait for this import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        # One program at a time, and in one transaction: SQLite's driver begins none by itself for changes of tables.
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADING})
        version_of(connection, name)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
