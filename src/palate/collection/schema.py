"""The database file: its tables, its versions, and how it is opened.

Two tables: `events`, the log, and `items`, the texts that are voted on. WAL with synchronous FULL:
what was acknowledged is on the disk, also when the machine loses power.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from palate.errors import StoreError

APPLICATION_ID = 0x50414C54  # "PALT": tells our files from other programs' databases
BUSY_SECONDS = 10.0

# Migration N makes version N of version N − 1; what was released is never edited.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE items (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
        prompt TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL,
        source TEXT NOT NULL, name TEXT NOT NULL, tags TEXT NOT NULL, gold TEXT, margin REAL
    );
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL,
        annotator INTEGER NOT NULL, item INTEGER NOT NULL, question INTEGER NOT NULL,
        choice TEXT, shown_left TEXT, latency_ms INTEGER,
        guideline_version INTEGER NOT NULL, app_version TEXT NOT NULL, request TEXT NOT NULL,
        content TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL
    );
    CREATE UNIQUE INDEX requests ON events (annotator, request) WHERE request <> '';
    """,
    """
    CREATE TRIGGER events_stay BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'lines of the log are never changed'); END;
    CREATE TRIGGER events_remain BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'lines of the log are never removed'); END;
    CREATE TRIGGER items_stay BEFORE UPDATE ON items
        BEGIN SELECT RAISE(ABORT, 'pairs are never changed'); END;
    CREATE TRIGGER items_remain BEFORE DELETE ON items
        BEGIN SELECT RAISE(ABORT, 'pairs are never removed'); END;
    """,
)
VERSION = len(MIGRATIONS)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database that has this program's version.

    Raises:
        StoreError: it is missing, damaged, another program's or another version's.
    """
    with explained(path):
        target = path.absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rwc")
        connection = sqlite3.connect(
            target, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _check(connection, path)  # first: the journal's mode stands in the file
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """The version that a database says it has; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a database to this program's version, after a copy of it was put beside it.

    All steps are one transaction: a database has its old version, or the new one.

    Raises:
        StoreError: the copy or the change cannot be written; the database is as it was.
    """
    found = version_of(connection)
    if found == VERSION:
        return
    with explained(path):
        if found:
            _back_up(connection, path.with_name(f"{path.name}.version-{found}"))
        steps = "".join(MIGRATIONS[found:])
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {VERSION}; COMMIT;"
            )
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what it means for the votes."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {_meaning(error)} ({error})") from error


def _meaning(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return "cannot be written, the disk may be full; nothing that was acknowledged is lost"
    if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return "no database, or a damaged one; go back to a backup"
    if name.startswith("SQLITE_CANTOPEN"):
        return "cannot be opened; check the path and who may write there"
    if name.startswith("SQLITE_READONLY"):
        return "may not be written"
    if name.startswith("SQLITE_BUSY"):
        return "another program has been writing it for too long; try again"
    return "the database refused"


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = version_of(connection)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    if not is_empty and application != APPLICATION_ID:
        raise StoreError(f"{path}: a database of another program; choose another file")
    if found > VERSION:
        raise StoreError(
            f"{path}: written by a newer Palate (version {found} of the tables, this program knows "
            f"{VERSION}); update Palate"
        )
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreError(f"{path}: the database is damaged ({verdict}); go back to a backup")


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    with sqlite3.connect(target) as copy:
        connection.backup(copy)
    copy.close()
