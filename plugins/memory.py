"""The store `memory`: a history that lives and dies with its one process. For tests and first tries."""

from __future__ import annotations

import math
import secrets
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, ClassVar, NamedTuple

from eventstream import (
    ConfigError,
    Conflict,
    Cursor,
    Durability,
    Entry,
    Epoch,
    Filter,
    Keep,
    Ledger,
    Page,
    Receipt,
    Record,
    Services,
    Store,
    StoreBusy,
    Take,
    hookimpl,
)

MAX_BYTES = 256 * 1024  # of a page; one event is always taken
MAX_SCAN = 5000  # events looked at per page
MAX_SLICE = 2000  # events or ids removed by one `trim`
MAX_PAYLOAD = 64 * 1024
MAX_BUCKETS = 65_536
MAX_FACTS = 100_000
MAX_VALUE = 4096


class _Id(NamedTuple):
    fingerprint: bytes
    offset: int
    received: float


class Memory(Store):
    """Keep events in this process's memory. Refused with more than one worker."""

    name: ClassVar[str] = "memory"
    examples: ClassVar[list[Any]] = [{}]
    durability: Durability = "memory"
    shared: ClassVar[bool] = False

    def __init__(self, config: Any = None) -> None:
        """Start empty."""
        super().__init__(config)
        self._keep = Keep()
        self._services: Services | None = None
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._ids: OrderedDict[tuple[str, str], _Id] = OrderedDict()
        self._epoch = Epoch("", 1)
        self._head = self._trimmed = self._bytes = 0
        self._watchers: list[tuple[Callable[[int], None], Callable[[bytes], None]]] = []

    def keep(self, keep: Keep) -> None:
        """Take the retention bounds."""
        self._keep = keep

    def open(self, services: Services) -> None:
        """Start a new epoch behind whatever this object ever held."""
        self._services = services
        self._epoch = Epoch(secrets.token_hex(4), self._head + 1)

    def close(self) -> None:
        """Forget everything but the head: its offsets are not given out again."""
        self._services = None
        self._watchers = []
        self._records, self._ids = [], OrderedDict()
        self._trimmed, self._bytes = self._head, 0

    @property
    def _node(self) -> Services:
        if self._services is None:
            raise StoreBusy("the memory store is not open")
        return self._services

    def append(self, entries: Sequence[Entry], *, atomic: bool = True) -> list[Receipt | Conflict | None]:
        """Append at once; see `Store.append`."""
        now = self._node.now()
        with self._lock:
            results, fresh = self._decide(entries)
            if atomic and any(isinstance(result, Conflict) for result in results):
                new = {(entries[index].source, entries[index].id) for index in fresh}
                return [
                    None if isinstance(result, Receipt) and (entry.source, entry.id) in new else result
                    for result, entry in zip(results, entries, strict=True)
                ]
            for index in fresh:
                self._add(entries[index], now)
            head = self._head
        if fresh:
            for grown, _ in self._watchers:
                grown(head)
        return results

    def _decide(self, entries: Sequence[Entry]) -> tuple[list[Receipt | Conflict | None], list[int]]:
        results: list[Receipt | Conflict | None] = []
        fresh: dict[tuple[str, str], _Id] = {}
        indexes = []
        for index, entry in enumerate(entries):
            key = (entry.source, entry.id)
            earlier = self._ids.get(key) or fresh.get(key)
            if earlier is None:
                indexes.append(index)
                fresh[key] = _Id(entry.fingerprint, self._head + len(indexes), 0.0)
                results.append(Receipt(Cursor(self._epoch.name, self._head + len(indexes))))
            elif earlier.fingerprint == entry.fingerprint:
                results.append(Receipt(Cursor(self._epoch.name, earlier.offset), duplicate=True))
            else:
                results.append(Conflict(entry.id, entry.source))
        return results, indexes

    def _add(self, entry: Entry, now: float) -> None:
        self._head += 1
        self._ids[entry.source, entry.id] = _Id(entry.fingerprint, self._head, now)
        self._records.append(
            Record(self._head, entry.type, entry.source, entry.subject, entry.json, now, entry.deliver)
        )
        self._bytes += len(entry.json)

    def read(self, after: int, limit: int, filter: Filter | None = None, *, hidden: bool = False) -> Page:
        """Return a page of at most 256 KiB (or one event) out of 5,000 events; see `Store.read`."""
        node = self._node
        with self._lock:  # the snapshot; records never change
            head, trimmed = self._head, self._trimmed
            first = bisect_right(self._records, after, key=lambda record: record.offset)
            candidates = self._records[first : first + MAX_SCAN]
        matching: list[Record] = []
        size = 0
        following = max(after, head if len(candidates) < MAX_SCAN else candidates[-1].offset)
        for count, record in enumerate(candidates):
            if count % 128 == 127:
                node.pause()
            if not (record.deliver or hidden) or (filter is not None and not filter.matches(record)):
                continue
            matching.append(record)
            size += len(record.json)
            if len(matching) == limit or size >= MAX_BYTES:
                following = max(after, record.offset)
                break
        return Page(matching, following, head, trimmed)

    def head(self) -> int:
        """Return the highest offset."""
        if self._services is None:
            raise StoreBusy("the memory store is not open")
        return self._head

    def epochs(self) -> Sequence[Epoch]:
        """Return the one epoch since `open`."""
        return [self._epoch]

    def watch(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Call straight from `append` and `announce`."""
        self._watchers.append((grown, ephemeral))

    def announce(self, payload: bytes) -> int:
        """Hand the payload to everybody here."""
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"an ephemeral payload has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        for _, ephemeral in self._watchers:
            ephemeral(payload)
        return 0

    def trim(self) -> int:
        """Remove at most 2,000 events, and 20,000 ids."""
        now = self._node.now()
        with self._lock:
            count = 0
            while count < min(MAX_SLICE, len(self._records)) and self._is_surplus(self._records[count], count, now):
                self._bytes -= len(self._records[count].json)
                count += 1
            if count:
                self._trimmed = self._records[count - 1].offset
                del self._records[:count]
            for _ in range(10 * MAX_SLICE):
                oldest = next(iter(self._ids.values()), None)
                if oldest is None or oldest.received >= now - self._keep.ids:
                    break
                self._ids.popitem(last=False)
        return count

    def _is_surplus(self, record: Record, before: int, now: float) -> bool:
        """Judge a record when so many before it go; their bytes are off already."""
        keep = self._keep
        return record.received < now - keep.age or len(self._records) - before > keep.events or self._bytes > keep.size

    def backup(self, path: str) -> None:
        """Refuse: nothing here outlives the process."""
        raise ConfigError(f"the memory store cannot be backed up to {path}: use the store sqlite")

    def open_ledger(self) -> Ledger:
        """Return a ledger of this process."""
        return MemoryLedger(self._node)

    def stats(self) -> dict[str, Any]:
        """Return counts, and bytes of JSON held."""
        return {
            "events": len(self._records),
            "bytes": self._bytes,
            "head": self._head,
            "trimmed": self._trimmed,
            "ids": len(self._ids),
        }


class MemoryLedger(Ledger):
    """Small facts of one process, bounded in number."""

    def __init__(self, services: Services, clock: Callable[[], float] = monotonic) -> None:
        """Expire facts by `services.now`, refill buckets by `clock`."""
        self._services = services
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._full_at: OrderedDict[str, float] = OrderedDict()  # bucket: when it will be full again
        self._claims: dict[str, float] = {}
        self._facts: dict[str, tuple[bytes, float]] = {}
        self._full_until = 0.0  # no entry expires before; spares a search of all of them
        self._watchers: list[Callable[[str, bytes], None]] = []

    def take(self, bucket: str, amount: int, *, rate: float, burst: int) -> Take:
        """Take tokens by GCRA: a bucket is the time at which it will be full again."""
        self._check()
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.pop(bucket, now), now)
            after = max(full_at + amount / rate, now)
            over = after - now - burst / rate  # seconds beyond the burst; a rounding error is none
            taken = amount <= 0 or over < 1e-9
            if taken:
                full_at = after
            if full_at > now:
                self._full_at[bucket] = full_at
            if len(self._full_at) > MAX_BUCKETS:
                self._full_at.popitem(last=False)
        remaining = max(0.0, burst - (full_at - now) * rate)
        wait = 0.0 if taken else over if amount <= burst else math.inf
        return Take(taken, remaining, wait, full_at - now)

    def claim(self, key: str, ttl: float) -> bool:
        """Claim a key for `ttl` seconds."""
        self._check()
        with self._lock:
            now = self._services.now()
            if self._claims.get(key, now) > now:
                return False
            self._make_room(now)
            self._claims[key] = now + ttl
            return True

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a fact for `ttl` seconds, and tell the watchers."""
        self._check()
        if len(value) > MAX_VALUE:
            raise ValueError(f"a fact has at most {MAX_VALUE} bytes, not {len(value)}")
        with self._lock:
            now = self._services.now()
            self._make_room(now)
            self._facts[key] = (value, now + ttl)
        for changed in self._watchers:
            changed(key, value)

    def get(self, key: str) -> bytes | None:
        """Return a fact that has not expired."""
        self._check()
        value, expires = self._facts.get(key, (None, 0.0))
        return value if expires > self._services.now() else None

    def watch(self, changed: Callable[[str, bytes], None]) -> None:
        """Tell of every `put` from now on."""
        self._watchers.append(changed)

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
        self._watchers = []

    def _check(self) -> None:
        if self._closed:
            raise StoreBusy("the ledger is closed")

    def _make_room(self, now: float) -> None:
        if len(self._claims) + len(self._facts) < MAX_FACTS:
            return
        if now >= self._full_until:
            self._claims = {key: expires for key, expires in self._claims.items() if expires > now}
            self._facts = {key: fact for key, fact in self._facts.items() if fact[1] > now}
            expiries = [*self._claims.values(), *(expires for _, expires in self._facts.values())]
            self._full_until = min(expiries, default=now)
        if len(self._claims) + len(self._facts) >= MAX_FACTS:
            raise StoreBusy(f"the ledger holds {MAX_FACTS} unexpired entries, which is its bound")


@hookimpl
def eventstream_stores() -> Sequence[type[Store]]:
    """Offer the store `memory`."""
    return [Memory]
