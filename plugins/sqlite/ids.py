"""The ids that are remembered: a log in the order of their offsets, and where each key stands in it.

Keys are random, so that each new one would change a page of its own in an index of all of them, and that
page would be written twice. So new keys go into a small index (`id_recent`), whose pages a batch shares.
Once it is full, each commit moves on a part of its keys, neighbours in order, into the large one (`id_index`).
Both hold the first bytes of a key only; the log has all of it, and is asked before anything is believed.

`ids_2` has what version 2 of the tables remembered. Nothing is added to it, and one day all of it is forgotten.
"""

from __future__ import annotations

import sqlite3
from functools import cache

START = 6  # bytes of a key in the indexes
RECENT = 16_384  # keys in the small index, which so has about 100 pages
_PARTS = 256  # of all keys, by their first byte
_SWEEP = 4  # keys looked at in the large index for each that is forgotten

# When the oldest id came; through the view, so that it is also good for older tables.
OLDEST = "SELECT received FROM ids WHERE offset = (SELECT offset FROM ids ORDER BY offset LIMIT 1)"
_FACTS = """
SELECT NULL, epoch, head FROM meta UNION ALL
SELECT 0, chain_hash, 0 FROM meta UNION ALL
SELECT 1, turn, recent FROM meta UNION ALL
SELECT 2, NULL, EXISTS (SELECT 1 FROM ids_2)
"""
CHAIN, MOVES, OLDER = 0, 1, 2  # what stands for these facts among the keys; None stands for epoch and head

_ADD = f"INSERT INTO id_recent SELECT substr(key, 1, {START}), offset FROM id_log WHERE offset > ? ORDER BY 1, 2"  # noqa: S608  # as above
_MOVE = "INSERT INTO id_index SELECT start, offset FROM id_recent WHERE start >= ? AND start < ?"
_MOVED = "DELETE FROM id_recent WHERE start >= ? AND start < ?"
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
        for table in ("id_recent", "id_index")
    ]
    if older:
        found.append("SELECT o.key, o.fingerprint, o.offset FROM asked CROSS JOIN ids_2 AS o ON o.key = asked.key")
    asked = ",".join(["(?)"] * size)
    return f"WITH asked (key) AS (VALUES {asked}) " + " UNION ALL ".join([_FACTS, *found])


def index(connection: sqlite3.Connection, before: int, added: int, turn: int, recent: int) -> tuple[int, int]:
    """Enter the `added` keys that the log has behind `before`; return the new `turn` and `recent` for `meta`.

    `turn` is the part that is moved next, `recent` the number of keys in the small index.
    """
    connection.execute(_ADD, (before,))
    recent += added
    surplus = recent - RECENT
    if surplus <= 0:
        return turn, recent
    until = min(_PARTS, turn + -(-surplus * _PARTS // recent))
    bounds = bytes([turn]), bytes([until]) if until < _PARTS else _LAST
    connection.execute(_MOVE, bounds)
    moved = connection.execute(_MOVED, bounds).rowcount
    return until % _PARTS, recent - moved


def forget(connection: sqlite3.Connection, last: int, count: int) -> None:
    """Forget the `count` ids up to the offset `last`: part of a transaction.

    What the large index still says of them is swept up in the order of the keys, on a walk that never ends.
    """
    connection.execute("DELETE FROM ids_2 WHERE offset <= ?", (last,))
    connection.execute("DELETE FROM id_log WHERE offset <= ?", (last,))
    found = connection.execute(_END_OF_SWEEP, (_SWEEP * count,)).fetchall()
    connection.execute(_REMOVE, (found[0][0] if found else _LAST, last))
    connection.execute("UPDATE meta SET ids = ids - ?, swept = ?", (count, found[0][0] if found else b""))
