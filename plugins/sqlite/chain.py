"""The hash chain in the database: read for those who verify it, and kept in one piece by retention.

Its end is written by `commit`, in the transaction of the events that it covers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from eventstream import ChainMark, ChainPage, Link

SINCE = 2  # the schema version that brought the chain
MAX_BYTES = 2**20  # of a page; one event is always taken

Ask = Callable[[str, str, dict[str, Any]], list[tuple[Any, ...]]]

_END = "SELECT CAST(chained AS INTEGER), CAST(chain_hash AS BLOB) FROM meta"
# Cast, since somebody who changes a value may change its type. The inner parts pick rows without reading their JSON.
_PAGE = """
SELECT CAST(head AS INTEGER), CAST(trimmed AS INTEGER),
  coalesce(CAST(anchor AS INTEGER), 0), coalesce(CAST(anchor_hash AS BLOB), x''),
  coalesce(CAST(chained AS INTEGER), 0), coalesce(CAST(chain_hash AS BLOB), x''),
  e.offset, CAST(e.received AS INTEGER), e.deliver <> 0, CAST(e.type AS BLOB), CAST(e.source AS BLOB),
  CAST(e.subject AS BLOB), CAST(e.json AS BLOB), CAST(e.hash AS BLOB)
FROM meta LEFT JOIN (
  SELECT offset, sum(size) OVER (ORDER BY offset) - size AS before FROM (
    SELECT offset, length(json) AS size FROM events WHERE offset > :after ORDER BY offset LIMIT :limit)
) AS p ON p.before < :bytes LEFT JOIN events AS e ON e.offset = p.offset
WHERE anchor IS NOT NULL OR chained IS NOT NULL
ORDER BY p.offset
"""
# The anchor's hash is that of the last event in the chain that goes, if one does.
_ANCHOR = """
UPDATE meta SET anchor = :last, anchor_hash = coalesce(
  (SELECT hash FROM events WHERE offset <= :last AND hash IS NOT NULL ORDER BY offset DESC LIMIT 1), anchor_hash)
WHERE anchor < :last
"""


def end(ask: Ask) -> ChainMark | None:
    """Return the last event in the chain and its hash."""
    ((offset, hash_),) = ask("read", _END, {})
    return None if offset is None else ChainMark(offset, hash_ or b"")


def page(ask: Ask, after: int, limit: int) -> ChainPage | None:
    """Return one page, as `Store.read_chain` promises it."""
    rows = ask("verify", _PAGE, {"after": after, "limit": limit, "bytes": MAX_BYTES})
    if not rows:
        return None
    head, trimmed, anchor, anchor_hash, chained, chain_hash = rows[0][:6]
    links = [Link._make(row[6:]) for row in rows if row[6] is not None]
    return ChainPage(links, ChainMark(anchor, anchor_hash), ChainMark(chained, chain_hash), head, trimmed)


def move_anchor(connection: sqlite3.Connection, last: int) -> None:
    """Let the chain begin behind `last`: part of the transaction that removes the events up to there."""
    connection.execute(_ANCHOR, {"last": last})
