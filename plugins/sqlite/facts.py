"""Claims and facts of the ledger: a small database of its own, not flushed per write."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from eventstream import StoreBusy, encode_json

from . import schema
from .locks import alone

MAX_ROWS = 1_000_000  # claims, and facts, that have not expired; more are refused, since none may be forgotten
MAX_VALUE = 4096
_PURGE = 1000  # expired rows removed at once
_PURGE_EVERY = 128  # rows written by this process

Table = Literal["claims", "facts"]

_TABLES = """
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_by_expiry ON claims (expires);
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL, change INTEGER);
CREATE INDEX IF NOT EXISTS facts_by_expiry ON facts (expires);
CREATE INDEX IF NOT EXISTS facts_by_change ON facts (change);
CREATE TABLE IF NOT EXISTS changes (last INTEGER NOT NULL);
INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);
"""
# One statement for all, so that they are atomic without a transaction around them, and cost few turns of the
# interpreter lock. "WHERE true" is there for the parser, which would take ON CONFLICT for a join.
_CLAIM = """
INSERT INTO claims SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:claims) WHERE true
ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE claims.expires <= :now
RETURNING key
"""
_PUT = """
INSERT INTO facts VALUES (:key, :value, :expires, (SELECT last FROM changes))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires, change = excluded.change
"""


class Claim:
    """A key that is asked for, and whether it was granted."""

    __slots__ = ("expires", "granted", "key")

    def __init__(self, key: str, expires: float) -> None:
        self.key = key
        self.expires = expires
        self.granted = False


class Facts:
    """The database `<path>-ledger.db`. Everything here blocks: call it in a native thread."""

    def __init__(self, path: str) -> None:
        """Create what is missing."""
        self.path = f"{path}-ledger.db"
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._written = {"claims": 0, "facts": 0}  # rows, since expired ones were last removed
        with schema.trouble(self.path, "be opened"):
            schema.create_file(Path(self.path))
            with alone(f"{self.path}.lock"):  # SQLite does not wait for its turn to change the journal's mode
                self._prepare()

    def _prepare(self) -> None:
        connection = schema.connect(self.path, synchronous="NORMAL")
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        finally:
            connection.close()

    def claim(self, claims: Sequence[Claim], now: float) -> None:
        """Grant the keys that nobody holds, each to the first that asks."""
        asked = encode_json([(claim.key, claim.expires) for claim in claims]).decode()
        with self._borrow("claim a key") as connection:
            self._make_room(connection, "claims", len(claims), now)
            granted = {key for (key,) in connection.execute(_CLAIM, {"claims": asked, "now": now}).fetchall()}
        for claim in claims:
            claim.granted = claim.key in granted
            granted.discard(claim.key)

    def put(self, key: str, value: bytes, now: float, ttl: float) -> None:
        """Set a fact, and mark it as the latest change."""
        if len(value) > MAX_VALUE:
            raise ValueError(f"a fact has at most {MAX_VALUE} bytes, not {len(value)}")
        with self._borrow("put a fact") as connection:
            self._make_room(connection, "facts", 1, now)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE changes SET last = last + 1")
            connection.execute(_PUT, {"key": key, "value": value, "expires": now + ttl})
            connection.execute("COMMIT")

    def get(self, key: str, now: float) -> bytes | None:
        """Return a fact that has not expired."""
        with self._borrow("get a fact") as connection:
            query = "SELECT value FROM facts WHERE key = ? AND expires > ?"
            rows = connection.execute(query, (key, now)).fetchall()
            return rows[0][0] if rows else None

    def last_change(self) -> int:
        """Return the number of the latest change."""
        with self._borrow("look for changes") as connection:
            ((last,),) = connection.execute("SELECT last FROM changes").fetchall()
            return int(last)

    def changed(self, since: int) -> list[tuple[int, str, bytes]]:
        """Return (number, key, value) of what has changed since, in order."""
        with self._borrow("look for changes") as connection:
            query = "SELECT change, key, value FROM facts WHERE change > ? ORDER BY change"
            return connection.execute(query, (since,)).fetchall()

    def _make_room(self, connection: sqlite3.Connection, table: Table, rows: int, now: float) -> None:
        """Before so many rows are written, now and then remove more of the expired ones; raises StoreBusy when full.

        Each table is bounded by itself: who fills the claims (a nonce a request) leaves room for revocations.
        """
        self._written[table] += rows
        written = self._written[table]
        if written < _PURGE_EVERY:
            return
        expired = f"SELECT key FROM {table} WHERE expires <= ? ORDER BY expires LIMIT ?"  # noqa: S608  # own names
        delete = f"DELETE FROM {table} WHERE key IN ({expired})"  # noqa: S608  # own names
        connection.execute(delete, (now, max(_PURGE, 2 * written)))
        ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608  # own names
        if count > MAX_ROWS:  # and the next one asks again
            raise StoreBusy(f"ledger {self.path} holds {count} unexpired {table}, {MAX_ROWS} is the bound")
        self._written[table] = 0

    @contextmanager
    def _borrow(self, doing: str) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise StoreBusy(f"ledger {self.path} is closed")
        with schema.trouble(self.path, doing):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = schema.connect(self.path, synchronous="NORMAL")
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if self._closed or self._idle:
                connection.close()
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Give the connections back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Follower:
    """Where one watcher of the facts has read to."""

    def __init__(self, facts: Facts, tell: Callable[[str, bytes], Any]) -> None:
        """Tell of what changes from now on."""
        self._facts = facts
        self._tell = tell
        self._last = facts.last_change()

    def look(self) -> list[tuple[int, str, bytes]]:
        """Return what is new. Blocks: call it in a native thread."""
        return self._facts.changed(self._last)

    def report(self, changes: list[tuple[int, str, bytes]]) -> None:
        """Tell of it, in order."""
        for number, key, value in changes:
            self._last = number
            self._tell(key, value)
