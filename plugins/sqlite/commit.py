"""One group commit: what each request gets, decided and written in one transaction.

Runs in a native thread beside a busy loop, where every call into SQLite may cost one turn of the
interpreter lock: so few calls, each over many rows, with texts that repeat (and so stay compiled).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from eventstream import CHAIN_START, Entry, Record, chain_hash

from . import ids
from .session import Session, Sessions

# What an entry got, as a number: a new offset, minus the offset of its first copy, or one of these.
CONFLICT = 0
NOTHING = None
Outcome = int | None

_LOOKUP = 4096  # ids per question
_WHOLE = (1024, 256, 64)  # rows per statement; the rest below 64 has a statement of its own size
_EVENT = "(type, source, subject, received, deliver, json, offset, hash)"
_ID = "(offset, key, fingerprint, received)"
GROW = """
UPDATE meta SET head = ?, events = events + ?, bytes = bytes + ?, ids = ids + ?, listed = ?, turn = ?, recent = ?
"""
_END = """
UPDATE meta SET chained = ?, chain_hash = ?,
  anchor = coalesce(anchor, ?), anchor_hash = coalesce(anchor_hash, zeroblob(32))
"""


class Request:
    """The entries of one `append`, and what became of them."""

    __slots__ = ("atomic", "entries", "epoch", "keys", "outcomes", "size")

    def __init__(self, entries: Sequence[Entry], *, atomic: bool) -> None:
        """Prepare the keys; raises UnicodeEncodeError here, where it harms nobody else's commit."""
        self.entries = entries
        self.atomic = atomic
        self.keys = [key_of(entry) for entry in entries]
        self.size = sum(len(entry.json) for entry in entries)
        self.outcomes: list[Outcome] | None = None
        self.epoch = ""


def count_new(requests: Iterable[Request]) -> int:
    """Return how many events a commit has added: they have the last offsets, without a hole."""
    return sum(outcome is not None and outcome > 0 for request in requests for outcome in request.outcomes or ())


def records(requests: Iterable[Request], received: int) -> list[Record]:
    """Return the events that a commit has added and that are delivered, as they would be read."""
    return [
        Record(outcome, entry.type, entry.source, entry.subject, entry.json, received / 1e6)
        for request in requests
        for entry, outcome in zip(request.entries, request.outcomes or (), strict=True)
        if outcome is not None and outcome > 0 and entry.deliver
    ]


def key_of(entry: Entry) -> bytes:
    """Return 16 bytes that stand for source and id."""
    entry.type.encode()
    if entry.subject is not None:
        entry.subject.encode()
    return blake2b(f"{entry.source}\0{entry.id}".encode(), digest_size=16).digest()


class Commits:
    """Commits to one file, each one call that blocks."""

    def __init__(self, sessions: Sessions, *, chained: bool) -> None:
        """Write through `sessions`; with `chained` new events continue the hash chain, or begin one."""
        self._sessions = sessions
        self._chained = chained

    def write(self, requests: Sequence[Request], received: int, deadline: float) -> int:
        """Commit what is new of all requests; return the new head, 0 if nothing was. Raises StoreBusy.

        `received` is in microseconds, `deadline` on the clock of `time.monotonic`.
        """
        with self._sessions.transaction("append", deadline) as session:
            return write(session, requests, received, chained=self._chained)

    def close(self) -> None:
        """Give back what is idle."""
        self._sessions.close()


def write(session: Session, requests: Sequence[Request], received: int, *, chained: bool = False) -> int:
    """Write what is new of all requests inside the open transaction; return the new head, 0 if nothing was.

    `received` is in microseconds. With `chained` the new events continue the hash chain, or begin one.
    Outcomes are set on the requests, to be believed after the commit only.
    """
    execute = session.connection.execute
    keys = [key for request in requests for key in request.keys]
    known = _look_up(session, keys)
    epoch, head = known.pop(None)
    head = -head
    previous: bytes | None = (known.pop(ids.CHAIN)[0] or CHAIN_START) if chained else None
    turn, recent = known.pop(ids.MOVES)
    listed = -known.pop(ids.LISTED)[1]
    events: list[Any] = []
    log: list[Any] = []
    first = head
    for request in requests:
        outcomes, fresh = _decide(request, known, head)
        request.outcomes, request.epoch = outcomes, epoch
        for index in fresh:
            entry, head = request.entries[index], head + 1
            if previous is not None:
                previous = _link(previous, entry, head, received)
            events += (entry.type, entry.source, entry.subject, received, entry.deliver, entry.json, head, previous)
            log += (head, request.keys[index], entry.fingerprint, received)
    added = head - first
    if added:
        for sql, values in _statements("events", _EVENT, events, added):
            execute(sql, values)
        for sql, values in _statements("id_log", _ID, log, added):
            execute(sql, values)
        session.latest.add(log[1::4], log[0::4])
        places = ids.index(session.connection, added, head, listed, turn, -recent)
        execute(GROW, (head, added, sum(map(len, events[5::8])), added, *places))
        if previous is not None:
            execute(_END, (head, previous, first))
    return head if added else 0


def _look_up(session: Session, keys: list[bytes]) -> dict[Any, tuple[Any, int]]:
    """Return what is known of the keys, offsets negative, and the facts of the store."""
    known: dict[Any, tuple[Any, int]] = {}
    for at in range(0, len(keys), _LOOKUP):
        chunk = sorted(keys[at : at + _LOOKUP])
        size = 1 << (len(chunk) - 1).bit_length()
        asked = [*chunk, *[None] * (size - len(chunk))]
        rows = session.connection.execute(ids.lookup(size, older=session.older), asked).fetchall()
        known.update((key, (fingerprint, -offset)) for key, fingerprint, offset in rows)
    session.older = bool(known.pop(ids.OLDER)[1])
    session.latest.follow(session.connection, -known[ids.LISTED][1], -known[None][1])
    latest = session.latest.find(session.connection, keys)
    known.update((key, (fingerprint, -offset)) for key, fingerprint, offset in latest)
    return known


def _decide(request: Request, known: dict[Any, tuple[Any, int]], head: int) -> tuple[list[Outcome], list[int]]:
    """Return the outcomes of one request and the indexes of its new entries; `known` learns of those."""
    outcomes: list[Outcome] = []
    fresh: list[int] = []
    mine: dict[bytes, tuple[bytes, int]] = {}
    for index, (key, entry) in enumerate(zip(request.keys, request.entries, strict=True)):
        earlier = known.get(key) or mine.get(key)
        if earlier is None:
            fresh.append(index)
            offset = head + len(fresh)
            mine[key] = (entry.fingerprint, -offset)
            outcomes.append(offset)
        else:
            outcomes.append(earlier[1] if earlier[0] == entry.fingerprint else CONFLICT)
    if request.atomic and CONFLICT in outcomes:
        for index, key in enumerate(request.keys):
            if key in mine and outcomes[index] != CONFLICT:
                outcomes[index] = NOTHING
        return outcomes, []
    known.update(mine)
    return outcomes, fresh


def _link(previous: bytes, entry: Entry, offset: int, received: int) -> bytes:
    subject = None if entry.subject is None else entry.subject.encode()
    deliver, type_, source = entry.deliver, entry.type.encode(), entry.source.encode()
    return chain_hash(previous, offset, received, deliver, type_, source, subject, entry.json)


@cache
def _insert(table: str, columns: str, rows: int) -> str:
    row = f"({','.join('?' * (columns.count(',') + 1))})"
    return f"INSERT INTO {table} {columns} VALUES {','.join([row] * rows)}"  # noqa: S608  # our own names


def _statements(table: str, columns: str, values: list[Any], rows: int) -> Iterator[tuple[str, list[Any]]]:
    width = columns.count(",") + 1
    at = 0
    while rows:
        chunk = next((size for size in _WHOLE if size <= rows), rows)
        yield _insert(table, columns, chunk), values[at : at + chunk * width]
        at += chunk * width
        rows -= chunk
