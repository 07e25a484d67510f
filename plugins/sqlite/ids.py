"""The ids that are remembered: a log in the order of their offsets, and where each key stands in it.

Keys are random, so that each new one would change a page of its own in an index of all of them, and that page
would be written twice. So the latest stand in the log only, and each session knows them by heart (`Latest`). Once
they are many, all go into a small index (`id_small`), whose pages they share. From there each commit moves
some keys on, neighbours in order, into the large one (`id_index`). `meta.listed` is the last offset in the indexes.
These hold the first bytes of a key only; the log has all of it, and is asked before anything is believed.

`ids_2` has what version 2 of the tables remembered. Nothing is added to it, and one day all of it is forgotten.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

START = 6  # bytes of a key in the indexes
LATEST = 4096  # keys that stand in no index
RECENT = 16_384  # keys in the small index, which so has about 100 pages
PACE = 4  # keys moved on for each new one, so that no single commit moves them all
_PARTS = 256  # of all keys, by their first byte
_SWEEP = 4  # keys looked at in the large index for each that is forgotten

# When the oldest id came; through the view, so that it is also good for older tables.
OLDEST = "SELECT received FROM ids WHERE offset = (SELECT offset FROM ids ORDER BY offset LIMIT 1)"
_FACTS = """
SELECT NULL, epoch, head FROM meta UNION ALL
SELECT 0, chain_hash, 0 FROM meta UNION ALL
SELECT 1, turn, recent FROM meta UNION ALL
SELECT 2, NULL, EXISTS (SELECT 1 FROM ids_2) UNION ALL
SELECT 3, NULL, listed FROM meta
"""
CHAIN, MOVES, OLDER, LISTED = 0, 1, 2, 3  # what stands for these facts among the keys; None stands for epoch and head

FOLLOW = "SELECT key, offset FROM id_log WHERE offset > ?"
_FIND = "SELECT key, fingerprint, offset FROM id_log WHERE offset IN (SELECT value FROM json_each(?))"
LIST = f"INSERT INTO id_small SELECT substr(key, 1, {START}), offset FROM id_log WHERE offset > ? ORDER BY 1, 2"  # noqa: S608  # as above
COUNT = "SELECT count(*) FROM id_small"
MOVE = "INSERT INTO id_index SELECT start, offset FROM id_small WHERE start >= ? AND start < ?"
MOVED = "DELETE FROM id_small WHERE start >= ? AND start < ?"
_END_OF_SWEEP = "SELECT start FROM id_index WHERE start > (SELECT swept FROM meta) ORDER BY start LIMIT 1 OFFSET ?"
_REMOVE = "DELETE FROM id_index WHERE start > (SELECT swept FROM meta) AND start <= ? AND offset <= ?"
_LAST = b"\xff" * (START + 1)  # behind every start


@cache
def lookup(size: int, *, older: bool) -> str:
    """Return the question for what is known of `size` keys (best in their order), and for the facts of the store."""
    found = [
        "SELECT l.key, l.fingerprint, l.offset FROM asked "  # noqa: S608  # our own names
        f"CROSS JOIN {table} AS i ON i.start = substr(asked.key, 1, {START}) "
        "CROSS JOIN id_log AS l ON l.offset = i.offset AND l.key = asked.key"
        for table in ("id_small", "id_index")
    ]
    if older:
        found.append("SELECT o.key, o.fingerprint, o.offset FROM asked CROSS JOIN ids_2 AS o ON o.key = asked.key")
    asked = ",".join(["(?)"] * size)
    return f"WITH asked (key) AS (VALUES {asked}) " + " UNION ALL ".join([_FACTS, *found])


class Latest:
    """Where the keys that stand in no index stand in the log, as far as one session has followed it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._offsets: dict[bytes, int] = {}
        self._listed = self._head = -1

    def follow(self, connection: sqlite3.Connection, listed: int, head: int) -> None:
        """Learn what others have written, and forget what stands in the indexes."""
        if listed != self._listed:
            self._offsets.clear()
            self._listed = self._head = listed
        if head != self._head:
            self._offsets.update(connection.execute(FOLLOW, (self._head,)))
            self._head = head

    def find(self, connection: sqlite3.Connection, keys: Iterable[bytes]) -> Sequence[tuple[bytes, bytes, int]]:
        """Return key, fingerprint and offset of those that are known."""
        offsets = [self._offsets[key] for key in keys if key in self._offsets]
        rows: list[Any] = connection.execute(_FIND, (json.dumps(offsets),)).fetchall() if offsets else []
        return rows

    def add(self, keys: Sequence[bytes], offsets: Sequence[int]) -> None:
        """Learn what this session writes; after a failure it is not to be used again."""
        self._offsets.update(zip(keys, offsets, strict=True))
        self._head = offsets[-1]


def index(
    connection: sqlite3.Connection, added: int, head: int, listed: int, turn: int, recent: int
) -> tuple[int, int, int]:
    """Let the indexes follow the log, which has `added` more keys and ends at `head`; return what `meta` then holds.

    That is `listed`, the part that is moved next (`turn`), and the number of keys in the small index (`recent`).
    """
    if head - listed > LATEST:
        connection.execute(LIST, (listed,))
        ((recent,),) = connection.execute(COUNT).fetchall()
        listed = head
    surplus = min(recent - RECENT, PACE * added)
    if surplus <= 0:
        return listed, turn, recent
    until = min(_PARTS, turn + -(-surplus * _PARTS // recent))
    bounds = bytes([turn]), bytes([until]) if until < _PARTS else _LAST
    connection.execute(MOVE, bounds)
    moved = connection.execute(MOVED, bounds).rowcount
    return listed, until % _PARTS, recent - moved


def forget(connection: sqlite3.Connection, last: int, count: int) -> None:
    """Forget the `count` ids up to the offset `last`: part of a transaction.

    What the large index still says of them is swept up in the order of the keys, on a walk that never ends.
    """
    connection.execute("DELETE FROM ids_2 WHERE offset <= ?", (last,))
    connection.execute("DELETE FROM id_log WHERE offset <= ?", (last,))
    found = connection.execute(_END_OF_SWEEP, (_SWEEP * count,)).fetchall()
    connection.execute(_REMOVE, (found[0][0] if found else _LAST, last))
    connection.execute("UPDATE meta SET ids = ids - ?, swept = ?", (count, found[0][0] if found else b""))
