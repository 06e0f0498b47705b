"""The disk space of the database."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from mistudio.access import require_write

CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"


def size(engine: Engine) -> int | None:
    """Bytes of an SQLite database with its log; None where a server keeps it."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    file = Path(engine.url.database)
    return sum(part.stat().st_size for part in (file, Path(f"{file}-wal")) if part.exists())


def give_back(engine: Engine) -> str:
    """Give the space of deleted rows back to the disk. Returns, as a sentence, what became of it.

    SQLite writes its whole file anew (VACUUM), which nobody else may write to meanwhile and which needs as much free
    space again as is still in use.

    Raises:
        AccessError: the visitor may not.
    """
    require_write()
    if size(engine) is None:
        return "The database server uses their space for new rows; VACUUM FULL there gives it back to the disk."
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # What was deleted is in the log yet, which is no space that anybody would call freed.
            connection.exec_driver_sql(CHECKPOINT)
            before = size(engine)
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql(CHECKPOINT)
    except OperationalError as error:
        return f"The file keeps its size ({error.orig}); what is stored next takes the space that is free in it now."
    after = size(engine)
    return f"{megabytes(max(before - after, 0))} of disk space are free again; the database has {megabytes(after)} now."


def megabytes(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
