"""Reading: each page is one statement, so one snapshot, and no read transaction can be left open.

The statement packs the page into one row (a JSON index and the events' bytes end to end), since every row
that is stepped in a native thread may cost one turn of the interpreter lock.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from eventstream import Epoch, Filter, Page, Record, StoreBusy

from . import blocks, ids, schema

MAX_BYTES = 256 * 1024  # of a page; one event is always taken
MAX_SCAN = 5000  # rows looked at per page
_POOL = 4  # connections, and so reads at once
_PAUSE = 128  # events judged between two pauses
_COLUMNS = ("type", "source", "subject")

_index = msgspec.json.Decoder(list[tuple[int, int, int, str, str, str | None, int]])

_PAGE = """
SELECT (SELECT head FROM meta), (SELECT trimmed FROM meta), (SELECT {indexed} FROM meta), count(*),
  json_group_array(json_array(e.offset, e.received, e.deliver, e.type, e.source, e.subject, p.size))
    FILTER (WHERE p.before < :bytes),
  CAST(group_concat(e.json, '') FILTER (WHERE p.before < :bytes) AS BLOB)
FROM (
  SELECT offset, size, sum(size) OVER (ORDER BY offset) - size AS before FROM (
    SELECT offset, length(json) AS size FROM {places}
    WHERE offset > (SELECT max(:after, trimmed) FROM meta) {conditions}
    ORDER BY offset LIMIT :limit)
) AS p CROSS JOIN events AS e ON e.offset = p.offset
"""
_NEXT = "events"
_WITHIN = "AND offset <= (SELECT max(:after, trimmed) + :scan FROM meta) "
_BLOCKS = f"(SELECT value * {blocks.BLOCK} AS first FROM json_each(:blocks)) CROSS JOIN events"  # noqa: S608  # our own words
_IN_THEM = f"AND offset BETWEEN first AND first + {blocks.BLOCK - 1} "
_NUMBERS = f"SELECT head, trimmed, events, bytes, ids, ({ids.OLDEST}) FROM meta"  # noqa: S608  # our own words


class Reader:
    """Read connections, each used by one native call at a time."""

    def __init__(
        self, path: str, offload: Callable[[Callable[[], Any]], Any], pause: Callable[[], None], version: int
    ) -> None:
        """Open nothing yet. `version` is that of the tables."""
        self._path = path
        self._mark = "indexed" if version >= blocks.SINCE else "0"
        self._indexed = 0  # up to where there are notes about blocks, as far as we know
        self._offload = offload
        self._pause = pause
        self._idle: deque[sqlite3.Connection] = deque()
        self._room = threading.BoundedSemaphore(_POOL)
        self._closed = False

    def page(self, after: int, limit: int, filter: Filter | None, *, hidden: bool) -> Page:
        """Return one page, as `Store.read` promises it."""
        conditions, values, exact = ("", {}, True) if filter is None else _pushed(filter)
        if not hidden:
            conditions = "AND deliver " + conditions
        bounds: dict[str, Any] = {"after": after, "bytes": MAX_BYTES, "limit": limit if exact else MAX_SCAN}
        found = None
        if filter is not None and after < self._indexed:
            found = blocks.find(lambda sql, values: self.ask("read", sql, values), filter, after)
        if found is None:
            places, conditions = _NEXT, _WITHIN + conditions
            bounds["scan"] = MAX_SCAN
        else:
            places, conditions = _BLOCKS, _IN_THEM + conditions
            bounds["blocks"] = json.dumps(found.blocks)
        sql = _PAGE.format(indexed=self._mark, places=places, conditions=conditions)
        ((head, trimmed, self._indexed, picked, index, body),) = self.ask("read", sql, bounds | values)
        records = _records(_index.decode(index), body)
        end = min(head, max(after, trimmed) + MAX_SCAN) if found is None else max(trimmed, found.end)
        scanned = picked == len(records) < bounds["limit"]
        following = max(after, end) if scanned else records[-1].offset
        if filter is not None and not exact:
            records, following = self._judge(filter, records, following, limit)
        return Page(records, following, head, trimmed)

    def _judge(self, filter: Filter, records: list[Record], following: int, limit: int) -> tuple[list[Record], int]:
        """Keep what matches, up to `limit`, and the place behind what was judged."""
        matching: list[Record] = []
        for count, record in enumerate(records, 1):
            if filter.matches(record):
                matching.append(record)
                if len(matching) == limit:
                    return matching, record.offset if count < len(records) else following
            if count % _PAUSE == 0:
                self._pause()
        return matching, following

    def head(self) -> int:
        """Return the highest visible offset."""
        ((head,),) = self.ask("read", "SELECT head FROM meta", {})
        return int(head)

    def epochs(self) -> list[Epoch]:
        """Return the epochs as they stand in the file."""
        return [Epoch(*row) for row in self.ask("read", "SELECT name, first FROM epochs ORDER BY seq", {})]

    def numbers(self) -> dict[str, Any]:
        """Return head, trim mark, counts, and when (Unix seconds) the oldest remembered id came."""
        ((head, trimmed, events, size, ids, oldest),) = self.ask("count", _NUMBERS, {})
        oldest_id = None if oldest is None else oldest / 1e6
        return {"head": head, "trimmed": trimmed, "events": events, "bytes": size, "ids": ids, "oldest_id": oldest_id}

    def ask(self, doing: str, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement in a native thread; `doing` says in an error what could not be done."""

        def call() -> list[tuple[Any, ...]]:
            with schema.trouble(self._path, doing):
                connection = self._take()
                try:
                    rows = connection.execute(sql, values).fetchall()
                except BaseException:
                    connection.close()
                    raise
                self._give_back(connection)
                return rows

        if self._closed:
            raise StoreBusy(f"sqlite store {self._path} is closed")
        with self._room:  # a storm of readers must not take every native thread: commits need one
            rows: list[tuple[Any, ...]] = self._offload(call)
        return rows

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return schema.connect(self._path, query_only=True)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if self._closed or len(self._idle) >= _POOL:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections; one in use is closed by its user."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _records(index: list[tuple[int, int, int, str, str, str | None, int]], body: bytes | None) -> list[Record]:
    records = []
    at = 0
    for offset, received, deliver, type_, source, subject, size in index:
        end = at + size
        records.append(Record(offset, type_, source, subject, (body or b"")[at:end], received / 1e6, bool(deliver)))
        at = end
    return records


@lru_cache(maxsize=1024)
def _pushed(filter: Filter) -> tuple[str, dict[str, Any], bool]:
    """Return conditions in SQL, their values, and whether they say all that the filter says."""
    conditions = []
    values: dict[str, Any] = {}
    for selector in filter.selectors:
        if selector.attribute not in _COLUMNS:
            continue
        column = selector.attribute
        choices = []
        exact = [_bind(values, value) for value in sorted(selector.exact)]
        if exact:
            choices.append(f"{column} IN ({','.join(exact)})")
        choices += [f"substr({column}, 1, {len(one)}) = {_bind(values, one)}" for one in selector.prefixes]
        conditions.append(f"AND ({' OR '.join(choices)})")
    whole = not filter.expressions and all(selector.attribute in _COLUMNS for selector in filter.selectors)
    return " ".join(conditions), values, whole


def _bind(values: dict[str, Any], value: str) -> str:
    name = f"v{len(values)}"
    values[name] = value
    return f":{name}"
