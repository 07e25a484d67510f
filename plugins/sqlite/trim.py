"""Retention: one bounded slice at a time, by one process at a time, and the WAL copied back meanwhile."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from eventstream import Keep

from . import blocks, ids, schema
from .chain import move_anchor
from .locks import open_lock, try_lock
from .presence import prune_epochs
from .session import Sessions

MAX_ROWS = 2000  # per slice, so that a publish behind it waits some milliseconds only
MAX_BYTES = 16 * 2**20
ID_SLICES = 10  # per call, each in a turn of its own: ids have to go as fast as events come
WAL_BYTES = 4 * 2**20  # copy the WAL back when it is longer

_OLDEST = f"""
SELECT events, bytes, (SELECT received FROM events ORDER BY offset LIMIT 1), ({ids.OLDEST}) FROM meta
"""  # noqa: S608  # our own words
_EVENTS = """
SELECT json_group_array(json_array(offset, received, size))
FROM (SELECT offset, received, length(json) AS size FROM events ORDER BY offset LIMIT ?)
"""
_IDS = """
SELECT json_group_array(json_array(offset, received))
FROM (SELECT offset, received FROM ids ORDER BY offset LIMIT ?)
"""
_FLOOR = "SELECT min(trimmed, coalesce((SELECT offset FROM ids ORDER BY offset LIMIT 1), trimmed)) FROM meta"


class Trimmer:
    """Removes what `keep` no longer holds. Everything here blocks: call it in a native thread."""

    def __init__(self, sessions: Sessions, keep: Keep) -> None:
        """Open nothing yet."""
        self._sessions = sessions
        self._keep = keep

    def slice(self, now: float) -> int:
        """Remove one slice and return how many events went; 0 also while another process trims."""
        with schema.trouble(self._sessions.path, "trim"):
            lock = open_lock(f"{self._sessions.path}.trim")
            try:
                return self._slice(now) if try_lock(lock) else 0
            finally:
                os.close(lock)

    def _slice(self, now: float) -> int:
        self._checkpoint()
        events_due, ids_due, blocks_due = self._due(now)
        removed = 0
        if events_due:
            with self._sessions.transaction("trim") as session:
                removed = self._remove_events(session.connection, now)
        if ids_due:
            self._repeat(ID_SLICES, lambda connection: self._forget_ids(connection, now) == MAX_ROWS)
        if removed or ids_due:
            with self._sessions.transaction("trim") as session:
                ((floor,),) = session.connection.execute(_FLOOR).fetchall()
                prune_epochs(session.connection, floor)
        if blocks_due:
            self._repeat(blocks.SLICES, blocks.tend)
        return removed

    def _due(self, now: float) -> tuple[bool, bool, bool]:
        """Tell whether events, ids and blocks have something to do; a look that makes no writer wait."""
        with self._sessions.borrow("trim") as session:
            ((events, size, event, id_),) = session.connection.execute(_OLDEST).fetchall()
            blocks_due = blocks.is_due(session.connection)
        due = event is not None and self._is_surplus(now, event, events, size)
        return due, id_ is not None and self._is_forgotten(now, id_), blocks_due

    def _is_surplus(self, now: float, received: int, events: int, size: int) -> bool:
        """Judge the oldest of so many events of so many bytes."""
        keep = self._keep
        return received < (now - keep.age) * 1e6 or events > keep.events or size > keep.size

    def _is_forgotten(self, now: float, received: int) -> bool:
        return received < (now - self._keep.ids) * 1e6

    def _remove_events(self, connection: sqlite3.Connection, now: float) -> int:
        ((events, size),) = connection.execute("SELECT events, bytes FROM meta").fetchall()
        count = gone = last = 0
        for offset, received, length in _packed(connection, _EVENTS):
            if gone > MAX_BYTES or not self._is_surplus(now, received, events - count, size - gone):
                break
            count, gone, last = count + 1, gone + length, offset
        if count:
            move_anchor(connection, last)
            connection.execute("DELETE FROM events WHERE offset <= ?", (last,))
            update = "UPDATE meta SET trimmed = ?, events = events - ?, bytes = bytes - ?"
            connection.execute(update, (last, count, gone))
        return count

    def _repeat(self, times: int, slice_: Callable[[sqlite3.Connection], bool]) -> None:
        """Do one slice after the other, each in a turn of its own, while there may be more."""
        for _ in range(times):
            with self._sessions.transaction("trim") as session:
                more = slice_(session.connection)
            if not more:
                return

    def _forget_ids(self, connection: sqlite3.Connection, now: float) -> int:
        count = last = 0
        for offset, received in _packed(connection, _IDS):
            if not self._is_forgotten(now, received):
                break
            count, last = count + 1, offset
        if count:
            ids.forget(connection, last, count)
        return count

    def _checkpoint(self) -> None:
        """Copy the WAL back: the bulk beside the writers, the rest in turn, so that it can start afresh."""
        if wal_bytes(self._sessions.path) < WAL_BYTES:
            return
        with self._sessions.borrow("checkpoint") as session:
            session.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            with session.turnstile.turn():
                session.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def wal_bytes(path: str) -> int:
    """Return the length of the write-ahead log."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _packed(connection: sqlite3.Connection, sql: str) -> list[list[int]]:
    """Return many rows stepped as one (see `reader`)."""
    ((rows,),) = connection.execute(sql, (MAX_ROWS,)).fetchall()
    packed: list[list[int]] = json.loads(rows)
    return packed
