"""What a database says when it fails, as a sentence for people with what to do about it."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from mistudio.errors import StoreError

_BUSY = ("The database is busy: another program writes to it.", "Try again in a moment.")
_FULL = ("The disk of the database is full.", "Free some space, then try again. What was stored before is kept.")
_READ_ONLY = ("The database can only be read, not written.",
              "Give this user the right to write the file and its folder, or use a copy of it elsewhere.")
_DAMAGED = ("The database file is damaged, or no SQLite database. It was left as it is.",
            "Put a copy made by python -m mistudio backup in its place, or save what can still be read: "
            "sqlite3 DAMAGED.db .recover | sqlite3 NEW.db")
_AWAY = ("The database cannot be reached.",
         "Check that the server runs and the address is right, then try again. What was stored is kept.")
_OTHER = ("The database failed.", "Check that it is reachable, has space left and can be written.")
_SQLITE = {sqlite3.SQLITE_BUSY: _BUSY, sqlite3.SQLITE_LOCKED: _BUSY, sqlite3.SQLITE_FULL: _FULL,
           sqlite3.SQLITE_READONLY: _READ_ONLY, sqlite3.SQLITE_CORRUPT: _DAMAGED, sqlite3.SQLITE_NOTADB: _DAMAGED}
# PostgreSQL's codes: deadlock, lock not free in time, read-only transaction, disk full.
_POSTGRESQL = {"40P01": _BUSY, "55P03": _BUSY, "25006": _READ_ONLY, "53100": _FULL}


def failure(error: DBAPIError) -> StoreError:
    """What happened, in the words above where it is one of these, and in the database's own."""
    said, code = str(error.orig).strip().splitlines(), getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        known = _SQLITE.get(code & 0xFF)  # the rest of a code says more about the same
    else:
        state = getattr(error.orig, "sqlstate", None)
        # Without a code there was no server to give one; 08 and 57P are codes of connections that broke.
        known = _AWAY if (state or "08")[:2] == "08" or (state or "")[:3] == "57P" else _POSTGRESQL.get(state)
    message, hint = known or _OTHER
    return StoreError(f"{message} It says: {said[0].strip() if said else type(error.orig).__name__}", hint)
