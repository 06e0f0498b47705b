"""The schema of a database: brought up to the newest when opened, all of it or nothing."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from mistudio.errors import StoreError
from mistudio.store.tables import SQLModel

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, so long as it is the same for all.
UPGRADING = 4_170_923


def upgrade(engine: Engine, name: str) -> None:
    """Bring a database from whichever earlier schema, or from none, to the newest.

    Args:
        name: what to call the database in messages.

    Raises:
        StoreError: it has a schema that this program does not know, or is another program's.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        if _revision(connection, script, name) == script.get_current_head():
            return
    with engine.begin() as connection:
        # One program at a time, and in one transaction: SQLite's driver begins none by itself for changes of tables.
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADING})
        _revision(connection, script, name)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection, script: ScriptDirectory, name: str) -> str | None:
    """The schema a database has; None of an empty one."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = [revision.revision for revision in script.walk_revisions()]
    if found is not None and found not in known:
        raise StoreError(f"The database {name} has schema {found}, and this version of mistudio knows none after "
                         f"{known[0]}. It was left as it is.",
                         "A newer version has written it: upgrade mistudio, or use another database.")
    others = set(inspect(connection).get_table_names()) if found is None else set()
    if connection.dialect.name != "sqlite":  # several programs may share one
        others &= set(SQLModel.metadata.tables)
    if others:
        raise StoreError(f"The database {name} is another program's: it has the table {min(others)!r}. It was left as "
                         "it is.", "Use a database of its own for mistudio.")
    return found
