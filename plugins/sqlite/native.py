"""The group commit in one native call, where `_native.c` is compiled; `commit` is the same in Python."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from . import commit, ids, schema
from .locks import Turnstile
from .session import Pool

try:
    from ._native import Connection, Failure
except ImportError:  # not compiled, or SQLite is out of its reach
    Connection = None  # type: ignore[assignment,misc]  # Python serves

_FIND = (
    "SELECT l.fingerprint, l.offset FROM {table} AS i CROSS JOIN id_log AS l ON l.offset = i.offset AND l.key = ?1 "  # noqa: S608  # our own names
    f"WHERE i.start = substr(?1, 1, {ids.START})"
)
STATEMENTS = (
    "BEGIN IMMEDIATE",
    "SELECT CAST(epoch AS BLOB), head, listed, turn, recent, EXISTS (SELECT 1 FROM ids_2) FROM meta",
    ids.FOLLOW,
    "SELECT fingerprint, offset FROM id_log WHERE key = ? AND offset = ?",
    _FIND.format(table="id_small"),
    _FIND.format(table="id_index"),
    "SELECT fingerprint, offset FROM ids_2 WHERE key = ?",
    "INSERT INTO events (type, source, subject, received, deliver, json, offset) VALUES (?, ?, ?, ?, ?, ?, ?)",
    "INSERT INTO id_log (offset, key, fingerprint, received) VALUES (?, ?, ?, ?)",
    ids.LIST,
    ids.COUNT,
    ids.MOVE,
    ids.MOVED,
    commit.GROW,
    "COMMIT",
)
# What results of SQLite are called, by their numbers.
_NAMES = """
ERROR INTERNAL PERM ABORT BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT NOTFOUND FULL CANTOPEN PROTOCOL EMPTY
SCHEMA TOOBIG CONSTRAINT MISMATCH MISUSE NOLFS AUTH FORMAT RANGE NOTADB
"""
_KINDS = dict(enumerate(_NAMES.split(), 1))


class Commits(Protocol):
    """What writes group commits: see `commit.Commits`."""

    def write(self, requests: Sequence[commit.Request], received: int, deadline: float) -> int:
        """Commit what is new of all requests; return the new head, 0 if nothing was. Raises StoreBusy."""

    def close(self) -> None:
        """Give back what is idle."""


def commits(path: str, synchronous: schema.Synchronous) -> Commits | None:
    """Return the native commits; None where there are none, or EVENTSTREAM_PURE=1 stands in the environment."""
    if Connection is None or os.environ.get("EVENTSTREAM_PURE") == "1":
        return None
    return _Commits(path, synchronous)


class _Session:
    """As `session.Session`, with a connection of its own."""

    def __init__(self, path: str, synchronous: schema.Synchronous) -> None:
        setup = ";".join(schema.pragmas(synchronous))
        with _translated():
            self.connection = Connection(schema.address(path), int(schema.BUSY_SECONDS * 1000), setup, STATEMENTS)
        try:
            self.turnstile = Turnstile(path)
        except BaseException:
            self.connection.close()
            raise

    def write(self, requests: tuple[commit.Request, ...], received: int, deadline: float) -> int:
        bounds = ids.LATEST, ids.RECENT, ids.PACE
        gate, write = self.turnstile.gate, self.turnstile.write
        with _translated():
            return self.connection.write(requests, received, bounds, gate, write, deadline)

    def close(self) -> None:
        self.connection.close()
        self.turnstile.close()


class _Commits:
    def __init__(self, path: str, synchronous: schema.Synchronous) -> None:
        self._sessions = Pool(path, lambda: _Session(path, synchronous))

    def write(self, requests: Sequence[commit.Request], received: int, deadline: float) -> int:
        with self._sessions.borrow("append") as session:
            try:
                return session.write(tuple(requests), received, deadline)
            except TimeoutError:
                raise self._sessions.late("append") from None

    def close(self) -> None:
        self._sessions.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what sqlite3 would raise; it has no function that names a result."""
    try:
        yield
    except Failure as failure:
        code, message = failure.args
        kind = f"SQLITE_{_KINDS.get(code & 0xFF, 'ERROR')}"
        names = [name for name, value in vars(sqlite3).items() if name.startswith(kind) and value == code]
        error = sqlite3.OperationalError(message)
        error.sqlite_errorcode, error.sqlite_errorname = code, names[0] if names else kind
        raise error from None
