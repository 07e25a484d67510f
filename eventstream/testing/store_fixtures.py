"""What the store suites share: the store under test, and short ways to fill, read and trim it."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from eventstream import (
    Conflict,
    Filter,
    Keep,
    Receipt,
    Record,
    Store,
)
from eventstream.testing.deadline import Clock
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices

Opener = Callable[..., Store]


class StoreFixtures:
    """Set the features and write `make_store`."""

    durable: ClassVar[bool] = True  # events outlive `close`
    shared: ClassVar[bool] = True  # several processes may have it open

    def make_store(self, path: Path) -> Store:
        """Return a store, not yet open, that keeps what it keeps at `path` (which does not exist at first)."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def opened(self, tmp_path: Path, clock: Clock) -> Iterator[Opener]:
        """Give a function that opens another handle on the one store (`name` for another store)."""
        handles: list[Store] = []

        def open_(name: str = "events.db", keep: Keep | None = None, *, chained: bool = False) -> Store:
            store = self.make_store(tmp_path / "data" / name)
            store.chained = chained
            if keep is not None:
                store.keep(keep)
            store.open(PlainServices(tmp_path, clock))
            handles.append(store)
            return store

        yield open_
        for store in handles:
            store.close()

    @pytest.fixture
    def store(self, opened: Opener) -> Store:
        return opened()

    def needs(self, feature: str) -> None:
        """Skip what a store without this feature does not promise."""
        if not getattr(self, feature):
            pytest.skip(f"this store is not {feature}")


def receipt_of(result: Receipt | Conflict | None) -> Receipt:
    """Return the result, which has to be a receipt."""
    assert isinstance(result, Receipt), result
    return result


def offsets_of(results: Sequence[Receipt | Conflict | None]) -> list[int]:
    """Return the offsets of results that have to be receipts."""
    return [receipt_of(result).cursor.offset for result in results]


def append(store: Store, *ids: str) -> list[int]:
    """Append plain entries with these ids; return their offsets."""
    return offsets_of(store.append([make_entry(name) for name in ids]))


def append_varied(store: Store) -> list[int]:
    """Append four events that differ in every attribute a filter may name."""
    eu = b'{"specversion":"1.0","id":"3","source":"/1","type":"b.x","subject":"sx","region":"eu"}'
    plain = b'{"specversion":"1.0","id":"%d","source":"%b","type":"%b"}'
    entries = [
        make_entry("1", type="a.x", source="/1", json=plain % (1, b"/1", b"a.x")),
        make_entry("2", type="a.y", source="/1", subject="s_1", json=plain % (2, b"/1", b"a.y")),
        make_entry("3", type="b.x", source="/1", subject="sx", json=eu),
        make_entry("4", type="a.x", source="/2", json=plain % (4, b"/2", b"a.x")),
    ]
    return offsets_of(store.append(entries))


def read_all(store: Store, filter: Filter | None = None, *, limit: int = 500) -> list[Record]:
    """Read page by page up to the head."""
    records: list[Record] = []
    place = 0
    while True:
        page = store.read(place, limit, filter)
        records += page.records
        assert len(page.records) <= limit
        if page.next == page.head:
            return records
        assert page.next > place, "a page has to get on"
        place = page.next


def trim_all(store: Store) -> int:
    """Trim until nothing goes; return how many events went."""
    total = 0
    while removed := store.trim():
        total += removed
    return total
