"""The database file: its tables, how a connection to it is opened, and what its errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from eventstream import ConfigError, Problem, StoreBusy

Synchronous = Literal["FULL", "NORMAL"]

APPLICATION = 0x45767374  # "Evst", in the file's header
BUSY_SECONDS = 2.0  # how long a foreign connection may hold the write lock before we say 503
WAL_LIMIT = 2**20  # bytes the WAL file is cut back to once it was copied
AUTO_CHECKPOINT = 8192  # pages; a safety net, `trim` comes long before it

# What makes each version out of the one before it; empty lines stand between the statements.
# `received` is in microseconds, so that it survives JSON exactly. `ids` outlives `events`, and is forgotten by offset.
_UPGRADES = (
    """
CREATE TABLE events (
  offset INTEGER PRIMARY KEY, type TEXT NOT NULL, source TEXT NOT NULL, subject TEXT,
  received INTEGER NOT NULL, deliver INTEGER NOT NULL, json BLOB NOT NULL)

CREATE TABLE ids (
  key BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, offset INTEGER NOT NULL, received INTEGER NOT NULL) WITHOUT ROWID

CREATE INDEX ids_by_offset ON ids (offset, received)

CREATE TABLE epochs (seq INTEGER PRIMARY KEY, name TEXT NOT NULL, first INTEGER NOT NULL)

CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, head INTEGER NOT NULL, trimmed INTEGER NOT NULL,
  events INTEGER NOT NULL, bytes INTEGER NOT NULL, ids INTEGER NOT NULL)

INSERT INTO meta VALUES (1, '', 0, 0, 0, 0, 0)
""",
    # The hash chain: `hash` is null outside it. `anchor` is where it begins, `chained` where it ends.
    """
ALTER TABLE events ADD COLUMN hash BLOB

ALTER TABLE meta ADD COLUMN anchor INTEGER

ALTER TABLE meta ADD COLUMN anchor_hash BLOB

ALTER TABLE meta ADD COLUMN chained INTEGER

ALTER TABLE meta ADD COLUMN chain_hash BLOB
""",
    # Ids as a log in their own order, and where each stands in it (see `ids`). What was there stays until it is
    # forgotten; programs of the version before may run on for a while, and go through the view. `blocks` is filled
    # behind the head of the history, up to `indexed` (see there), so that nobody waits for it.
    """
ALTER TABLE ids RENAME TO ids_2

CREATE TABLE id_log (
  offset INTEGER PRIMARY KEY, key BLOB NOT NULL, fingerprint BLOB NOT NULL, received INTEGER NOT NULL)

CREATE TABLE id_recent (start BLOB NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (start, offset)) WITHOUT ROWID

CREATE TABLE id_index (start BLOB NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (start, offset)) WITHOUT ROWID

CREATE VIEW ids AS
  SELECT key, fingerprint, offset, received FROM ids_2 UNION ALL
  SELECT key, fingerprint, offset, received FROM id_log

CREATE TRIGGER ids_insert INSTEAD OF INSERT ON ids BEGIN
  INSERT INTO id_log VALUES (NEW.offset, NEW.key, NEW.fingerprint, NEW.received);
  INSERT INTO id_recent VALUES (substr(NEW.key, 1, 6), NEW.offset);
  UPDATE meta SET recent = recent + 1;
END

CREATE TRIGGER ids_delete INSTEAD OF DELETE ON ids BEGIN
  DELETE FROM ids_2 WHERE offset = OLD.offset;
  DELETE FROM id_log WHERE offset = OLD.offset;
END

ALTER TABLE meta ADD COLUMN recent INTEGER NOT NULL DEFAULT 0

ALTER TABLE meta ADD COLUMN turn INTEGER NOT NULL DEFAULT 0

ALTER TABLE meta ADD COLUMN swept BLOB NOT NULL DEFAULT x''

CREATE TABLE blocks (
  era INTEGER NOT NULL, attribute INTEGER NOT NULL, value TEXT NOT NULL, block INTEGER NOT NULL,
  PRIMARY KEY (era, attribute, value, block)) WITHOUT ROWID

ALTER TABLE meta ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0
""",
    # The latest ids stand in no index (see `ids`). Programs of version 3 do not look for them in the log: for these
    # the small index has gone, and they refuse to write. Those of version 2 go through the view.
    """
DROP TRIGGER ids_insert

CREATE TRIGGER ids_insert INSTEAD OF INSERT ON ids BEGIN
  INSERT INTO id_log VALUES (NEW.offset, NEW.key, NEW.fingerprint, NEW.received);
END

ALTER TABLE id_recent RENAME TO id_small

ALTER TABLE meta ADD COLUMN listed INTEGER NOT NULL DEFAULT 0

UPDATE meta SET listed = head
""",
)
VERSION = len(_UPGRADES)

_ADVICE = {
    "BUSY": "another program holds it locked: end that program",
    "LOCKED": "another program holds it locked: end that program",
    "FULL": "the disk (or a quota) is full: free some space",
    "READONLY": "it is read-only: make the file and its folder writable for this user",
    "IOERR": "the disk failed: see the kernel's log",
    "CANTOPEN": "it cannot be opened: the file and its folder must be writable for this user",
    "CORRUPT": "it is damaged: restore a backup",
    "NOTADB": "it is no SQLite database: give another path",
    "PERM": "it is not ours: make the file and its folder writable for this user",
}


def connect(path: str, *, synchronous: Synchronous = "FULL", query_only: bool = False) -> sqlite3.Connection:
    """Open the existing file; one user at a time may use the connection, from any thread."""
    connection = sqlite3.connect(
        address(path),
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        for pragma in pragmas(synchronous, query_only=query_only):
            connection.execute(pragma).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def address(path: str) -> str:
    """Return what opens the existing file."""
    return f"file:{quote(path)}?mode=rw"


def pragmas(synchronous: Synchronous, *, query_only: bool = False) -> list[str]:
    """Return what each connection begins with."""
    settings = {
        "synchronous": synchronous,
        "wal_autocheckpoint": AUTO_CHECKPOINT,
        "journal_size_limit": WAL_LIMIT,
        "secure_delete": "OFF",
        "cache_size": -8192,
        "query_only": int(query_only),
    }
    return [f"PRAGMA {name} = {value}" for name, value in settings.items()]


def create_file(path: Path) -> None:
    """Create the file (0600) and its folder (0700) where they are missing, and make their names durable."""
    folder = path.parent
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for made in missing:
        made.chmod(0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for one in {folder, *(made.parent for made in missing)}:
        sync_folder(one)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Create what is missing in the file; raises ConfigError for one that is not ours to use."""
    check(connection, path)
    ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
    if mode != "wal":
        hint = "give it a path on a local disk; network file systems cannot share it between processes"
        raise ConfigError([Problem(f"store.sqlite: {path} cannot have a write-ahead log", hint=hint)])
    upgrade(connection)


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring the tables to the present version, also while other processes use them."""
    if version_of(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for script in _UPGRADES[version_of(connection) :]:
        for statement in script.split("\n\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 where there are none."""
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return int(version)


def check(connection: sqlite3.Connection, path: str) -> None:
    """Raise ConfigError when the file is another program's, or a newer version's."""
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    version = version_of(connection)
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if application != APPLICATION and (tables or application or version):
        raise ConfigError(
            [Problem(f"store.sqlite: {path} is a database of another program", hint="give the store a path of its own")]
        )
    if version > VERSION:
        hint = "run the version that wrote it, or restore an older backup"
        raise ConfigError(
            [Problem(f"store.sqlite: {path} has schema version {version}, this server knows {VERSION}", hint=hint)]
        )


@contextmanager
def trouble(path: str, doing: str, *, at_start: bool = False) -> Iterator[None]:
    """Turn an error of SQLite or the system into StoreBusy that says which file, and what would be right.

    `at_start`, what will not go away by itself (anything but a lock or a full disk) is a ConfigError.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = f"sqlite store {path}: cannot {doing}: {error}{_advice(error)}"
        if at_start and not _is_passing(error):
            hint = "give store.sqlite.path a file in a folder that this user may write"
            raise ConfigError([Problem(text, pointer="/store/sqlite/path", hint=hint)]) from error
        raise StoreBusy(text) from error


def _is_passing(error: sqlite3.Error | OSError) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL")) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
    )


def _advice(error: sqlite3.Error | OSError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    words = name.split("_")
    advice = _ADVICE.get(words[1]) if len(words) > 1 else None
    return f" ({name}: {advice})" if advice else f" ({name})" if name else ""
