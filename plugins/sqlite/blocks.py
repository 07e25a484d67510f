"""Where in the history a type, source or subject stands, for filters that match little of it.

The history is cut into blocks of 64 offsets, and for each value it is noted in which blocks it occurs. The notes
are taken behind the head, many events at once, so that publishing does not wait for them; what has no notes
yet is short enough to be read through. They lie in eras: those of old ones go together, and new ones have
their pages in common.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from eventstream import Filter

SINCE = 3  # the schema version that brought the notes
BLOCK = 64  # offsets
ERA = 65_536  # offsets
SLICE = 2048  # offsets noted at once, while writers wait
SLICES = 32  # per look: notes have to be taken as fast as events come
MAX_ROWS = 4000  # notes removed at once
MAX_BLOCKS = 78  # read for one page
MAX_FOUND = 256  # notes looked at per question: what stands in more blocks of one era is found as quickly without
VALUE = 64  # characters of a value that are noted
_COLUMNS = ("type", "source", "subject")

_BEHIND = "\U0010ffff" * VALUE  # with this a prefix stands behind all that begins with it

_MARKS = "SELECT head, trimmed, indexed, (SELECT era FROM blocks ORDER BY era LIMIT 1) FROM meta"
_END_OF_REMOVAL = """
SELECT era, attribute, value, block FROM blocks ORDER BY era, attribute, value, block LIMIT 1 OFFSET ?
"""
_NOTES = [
    f"INSERT INTO blocks SELECT DISTINCT offset / {ERA}, {number}, substr({column}, 1, {VALUE}), offset / {BLOCK} "  # noqa: S608  # our own words
    f"FROM events WHERE offset > :first AND offset <= :last AND {column} IS NOT NULL ORDER BY 3, 4"
    for number, column in enumerate(_COLUMNS)
]
_FIND = f"""
WITH RECURSIVE start (place) AS (SELECT max(:after, trimmed) + 1 FROM meta),
eras (era) AS (
  SELECT place / {ERA} FROM start UNION ALL SELECT era + 1 FROM eras WHERE era < (SELECT indexed / {ERA} FROM meta)),
ranges (first, last) AS (VALUES {{ranges}})
SELECT json_group_array(json_array(era, block)), (SELECT place FROM start), (SELECT indexed FROM meta) FROM (
  SELECT b.era, b.block FROM eras CROSS JOIN ranges CROSS JOIN blocks AS b
  WHERE b.era = eras.era AND b.attribute = :attribute AND b.value >= ranges.first AND b.value <= ranges.last
    AND b.block >= (SELECT place / {BLOCK} FROM start)
  LIMIT :limit)
"""  # noqa: S608  # our own words


class Found(NamedTuple):
    """Blocks in which a value occurs, and the offset up to which they are all that there are."""

    blocks: list[int]
    end: int


def is_due(connection: sqlite3.Connection) -> bool:
    """Tell whether there are notes to take or to remove; a look that makes no writer wait."""
    head, trimmed, indexed, oldest = _marks(connection)
    return _last(head) - _first(trimmed, indexed) >= SLICE or oldest < trimmed // ERA


def tend(connection: sqlite3.Connection) -> bool:
    """Take one slice of notes and remove one: part of a transaction. True when there may be more to do."""
    head, trimmed, indexed, oldest = _marks(connection)
    if oldest < trimmed // ERA:
        _remove(connection, trimmed // ERA)
    first = _first(trimmed, indexed)
    if _last(head) - first < SLICE:
        return oldest < trimmed // ERA
    last = first + SLICE
    last -= (last + 1) % BLOCK
    for sql in _NOTES:
        connection.execute(sql, {"first": first, "last": last})
    connection.execute("UPDATE meta SET indexed = ?", (last,))
    return True


def find(ask: Callable[[str, dict[str, Any]], list[tuple[Any, ...]]], filter: Filter, after: int) -> Found | None:
    """Return at most MAX_BLOCKS blocks behind `after` that hold all that a filter finds there.

    None when there are no notes that serve the filter, or it matches so much that they save nothing.
    """
    selector = filter.index
    if selector is None or selector.attribute not in _COLUMNS:
        return None
    values: dict[str, Any] = {"after": after, "attribute": _COLUMNS.index(selector.attribute), "limit": MAX_FOUND + 1}
    ranges = [(one[:VALUE], one[:VALUE]) for one in sorted(selector.exact)]
    ranges += [(one[:VALUE], one[:VALUE] + _BEHIND) for one in selector.prefixes]
    for number, (first, last) in enumerate(ranges):
        values |= {f"first{number}": first, f"last{number}": last}
    places = ", ".join(f"(:first{number}, :last{number})" for number in range(len(ranges)))
    ((found, place, end),) = ask(_FIND.format(ranges=places), values)
    notes: list[tuple[int, int]] = json.loads(found)
    if len(notes) > MAX_FOUND:  # the last era may have more
        era = notes[-1][0]
        if era == place // ERA:
            return None
        notes = [note for note in notes if note[0] < era]
        end = era * ERA - 1
    blocks = sorted({block for _, block in notes})
    if len(blocks) > MAX_BLOCKS:
        blocks = blocks[:MAX_BLOCKS]
        end = (blocks[-1] + 1) * BLOCK - 1
    return Found(blocks, end)


def _marks(connection: sqlite3.Connection) -> tuple[int, int, int, int]:
    ((head, trimmed, indexed, oldest),) = connection.execute(_MARKS).fetchall()
    return head, trimmed, indexed, trimmed // ERA if oldest is None else oldest


def _first(trimmed: int, indexed: int) -> int:
    """Return the offset behind which notes are to be taken next: nothing is noted of what is gone."""
    return max(indexed, trimmed // BLOCK * BLOCK - 1)


def _last(head: int) -> int:
    """Return the end of the last block that is complete."""
    return (head + 1) // BLOCK * BLOCK - 1


def _remove(connection: sqlite3.Connection, era: int) -> None:
    """Remove some of the notes of eras before this one."""
    found = connection.execute(_END_OF_REMOVAL, (MAX_ROWS,)).fetchall()
    end = found[0] if found and found[0][0] < era else (era, 0, "", 0)
    connection.execute("DELETE FROM blocks WHERE (era, attribute, value, block) < (?, ?, ?, ?)", end)
