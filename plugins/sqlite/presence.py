"""Who has the store open, and the epochs: a history that may have lost its end gets a new name."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import string
from pathlib import Path

from eventstream import Epoch, StoreBusy

from . import schema
from .locks import open_lock, try_lock

MAX_EPOCHS = 10_000
_ALPHABET = string.digits + string.ascii_lowercase
_ATTEMPTS = 10


class Presence:
    """A shared lock on `<path>.lock`, held by every process that has the store open.

    The one that finds nobody else there starts a new epoch: the file may be a restored backup, a copy, or
    have lost its end in a power cut. It costs nothing otherwise: cursors of the older epoch stay good up to
    where the new one begins.
    """

    def __init__(self, path: str) -> None:
        """Create what is missing, join, and start an epoch if we are the first."""
        schema.create_file(Path(path))
        self._lock = open_lock(f"{path}.lock")
        try:
            self._join(path)
        except BaseException:
            self.close()
            raise

    def _join(self, path: str) -> None:
        for _ in range(_ATTEMPTS):
            if try_lock(self._lock):
                self._begin(path)
            fcntl.flock(self._lock, fcntl.LOCK_SH)  # not atomic: somebody may begin another epoch in between
            connection = schema.connect(path)
            try:
                schema.check(connection, path)
                if is_begun(connection):
                    schema.upgrade(connection)  # an older program may be the first here
                    return
            finally:
                connection.close()
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # the first one died before its epoch: try to be the first
        raise StoreBusy(f"sqlite store {path}: no process gets as far as starting an epoch")

    def _begin(self, path: str) -> None:
        connection = schema.connect(path)
        try:
            schema.prepare(connection, path)
            name = "".join(secrets.choice(_ALPHABET) for _ in range(8))
            connection.execute("BEGIN IMMEDIATE")
            given_up = _given_up(load_epochs(connection), _read_diary(path))
            connection.executemany("INSERT INTO epochs (name, first) VALUES (?, ?)", given_up)
            connection.execute("INSERT INTO epochs (name, first) SELECT ?, head + 1 FROM meta", (name,))
            connection.execute("UPDATE meta SET epoch = ?", (name,))
            connection.execute("DELETE FROM epochs WHERE seq <= (SELECT max(seq) FROM epochs) - ?", (MAX_EPOCHS,))
            _write_diary(path, load_epochs(connection))
            connection.execute("COMMIT")
        finally:
            connection.close()

    def close(self) -> None:
        """Leave; may be called more than once."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _given_up(known: list[Epoch], diary: list[Epoch]) -> list[Epoch]:
    """Return the epochs that began after the last one in the file: a backup was put back, and they are given up.

    Known as such, a cursor of theirs leads to where the backup ends, not to the earliest event. A diary
    that does not know the file's last epoch is of another history.
    """
    if not known or known[-1] not in diary:
        return []
    return diary[diary.index(known[-1]) + 1 :]


def _read_diary(path: str) -> list[Epoch]:
    """Return the epochs noted beside the database, which stay when the database is replaced."""
    try:
        text = Path(f"{path}.epochs").read_text()
    except FileNotFoundError:
        return []
    lines = (line.split() for line in text.splitlines())
    return [Epoch(words[0], int(words[1])) for words in lines if len(words) == 2 and words[1].isdigit()]


def _write_diary(path: str, epochs: list[Epoch]) -> None:
    """Replace the note before the epoch it names is in force."""
    partial = Path(f"{path}.epochs.new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{epoch.name} {epoch.first}\n" for epoch in epochs)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(f"{path}.epochs")


def is_begun(connection: sqlite3.Connection) -> bool:
    """Tell whether the file has its tables and an epoch."""
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchall()
    return bool(tables) and bool(load_epochs(connection))


def load_epochs(connection: sqlite3.Connection) -> list[Epoch]:
    """Read the epochs, oldest first."""
    return [Epoch(*row) for row in connection.execute("SELECT name, first FROM epochs ORDER BY seq").fetchall()]


def prune_epochs(connection: sqlite3.Connection, floor: int) -> None:
    """Forget epochs of which neither a place above `floor` nor a receipt is left. Part of a transaction.

    The place just at `floor` still belongs to the epoch that ends there.
    """
    connection.execute(
        "DELETE FROM epochs WHERE seq < (SELECT max(seq) FROM epochs WHERE first <= ?)",
        (floor,),
    )
