"""The database itself refuses what a visitor may not do: each connection is read-only while such a one uses it."""

from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from mistudio.access import require_read, require_write, visitor


def keep_rights(engine: Engine) -> None:
    """From now on whoever uses the engine can do what they may, and gets an AccessError for the rest."""
    event.listen(engine, "checkout", _on_sqlite if engine.dialect.name == "sqlite" else _on_postgresql)
    event.listen(engine, "handle_error", _refused)


def _on_sqlite(connection, record, _proxy) -> None:
    require_read()
    read_only = not visitor().may_write
    if record.info.get("read_only", False) != read_only:
        connection.execute(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        record.info["read_only"] = read_only


def _on_postgresql(connection, _record, _proxy) -> None:
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
