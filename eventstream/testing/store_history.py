"""What a store promises about what it keeps: retention, epochs, reopening, copies."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

from pathlib import Path

import pytest

from eventstream import (
    ConfigError,
    Conflict,
    Cursor,
    Duration,
    Keep,
    Page,
    Size,
    Store,
    StoreBusy,
)
from eventstream.testing.deadline import Clock
from eventstream.testing.other_process import make_entry
from eventstream.testing.store_fixtures import (
    Opener,
    StoreFixtures,
    append,
    append_varied,
    read_all,
    receipt_of,
    trim_all,
)


class HistoryContract(StoreFixtures):
    """The part of StoreContract that looks at one history over time."""

    # Retention

    def test_nothing_is_removed_within_the_bounds(self, store: Store) -> None:
        append(store, "a", "b")
        assert store.trim() == 0
        assert store.read(0, 10).trimmed == 0

    def test_retention_by_count(self, opened: Opener) -> None:
        store = opened(keep=Keep(events=10))
        offsets = append(store, *map(str, range(25)))
        assert trim_all(store) == 15
        page = store.read(0, 100)
        assert [record.offset for record in page.records] == offsets[15:]
        assert page.trimmed == offsets[14]

    def test_retention_by_age(self, opened: Opener, clock: Clock) -> None:
        store = opened(keep=Keep(age=Duration(60)))
        append(store, "old")
        clock.advance(59)
        offsets = append(store, "new")
        assert trim_all(store) == 0
        clock.advance(2)
        assert trim_all(store) == 1
        assert [record.offset for record in read_all(store)] == offsets

    def test_retention_by_size(self, opened: Opener) -> None:
        store = opened(keep=Keep(size=Size(100_000)))
        store.append([make_entry(str(n), json=b'"' + b"x" * 9_998 + b'"') for n in range(25)])
        assert trim_all(store) == 15
        assert store.stats()["bytes"] == 100_000

    def test_a_slice_is_bounded(self, opened: Opener) -> None:
        store = opened(keep=Keep(events=0))
        append(store, *map(str, range(5000)))
        assert 0 < store.trim() < 5000

    def test_a_gap_shows_in_the_page_that_crosses_it(self, opened: Opener) -> None:
        store = opened(keep=Keep(events=3))
        offsets = append(store, *map(str, range(10)))
        trim_all(store)
        mark = store.read(0, 1).trimmed
        assert mark == offsets[6]
        assert not mark < store.read(0, 100).trimmed
        at_the_mark, before_it = store.read(mark, 100), store.read(mark - 1, 100)
        assert [record.offset for record in at_the_mark.records] == offsets[7:]
        assert at_the_mark.trimmed <= mark  # nothing is lost just at the mark
        assert before_it.trimmed > mark - 1
        assert [record.offset for record in before_it.records] == offsets[7:]

    def test_offsets_are_not_reused_when_nothing_is_left(self, opened: Opener, clock: Clock) -> None:
        store = opened(keep=Keep(events=0, ids=Duration(1)))
        (*_, last) = append(store, *map(str, range(10)))
        clock.advance(2)
        trim_all(store)
        page = store.read(0, 10)
        assert page == Page([], last, last, last)
        if self.durable:
            store.close()
            store = opened()
        assert append(store, "next")[0] > last

    def test_ids_outlive_their_events(self, opened: Opener, clock: Clock) -> None:
        store = opened(keep=Keep(events=0, ids=Duration(60)))
        (first,) = store.append([make_entry("a")])
        trim_all(store)
        clock.advance(50)
        trim_all(store)
        assert store.append([make_entry("a")]) == [receipt_of(first)._replace(duplicate=True)]
        assert store.append([make_entry("a", fingerprint=b"other")]) == [Conflict("a", "/contract")]

    def test_ids_are_forgotten_in_time(self, opened: Opener, clock: Clock) -> None:
        store = opened(keep=Keep(ids=Duration(60)))
        (first,) = append(store, "a")
        clock.advance(61)
        trim_all(store)
        (receipt,) = store.append([make_entry("a")])
        assert not receipt_of(receipt).duplicate
        assert receipt_of(receipt).cursor.offset > first
        assert len(read_all(store)) == 2

    # Epochs

    def test_the_first_epoch_begins_at_one(self, store: Store) -> None:
        (epoch,) = store.epochs()
        assert epoch.first == 1
        assert Cursor.parse(f"{epoch.name}-1").epoch == epoch.name

    def test_opening_alone_begins_an_epoch_behind_the_head(self, opened: Opener) -> None:
        store = opened()
        (last,) = append(store, "a")
        first = store.epochs()[-1].name
        store.close()
        store = opened()
        current = store.epochs()[-1]
        assert current.name != first
        (receipt,) = store.append([make_entry("b")])
        assert receipt_of(receipt).cursor.epoch == current.name
        if self.durable:
            assert current.first == last + 1
            assert [epoch.name for epoch in store.epochs()] == [first, current.name]

    def test_a_repeat_from_an_older_epoch_keeps_its_cursor(self, opened: Opener) -> None:
        self.needs("durable")
        store = opened()
        (first,) = store.append([make_entry("a")])
        store.close()
        assert opened().append([make_entry("a")]) == [receipt_of(first)._replace(duplicate=True)]

    def test_an_epoch_is_known_as_long_as_a_place_in_it_is_good(self, opened: Opener, clock: Clock) -> None:
        self.needs("durable")
        keep = Keep(events=1, ids=Duration(1))
        names = []
        for number in range(4):
            store = opened(keep=keep)
            append(store, str(number))
            names.append(store.epochs()[-1].name)
            clock.advance(2)
            trim_all(store)
            store.close()
        store = opened(keep=keep)  # 4 is kept, 3 is the mark: a cursor of epoch 3 at 3 has lost nothing
        assert [epoch.name for epoch in store.epochs()][:-1] == names[2:]

    # What lasts

    def test_everything_is_there_after_reopening(self, opened: Opener) -> None:
        self.needs("durable")
        store = opened()
        append_varied(store)
        before = store.read(0, 100, hidden=True)
        store.close()
        assert opened().read(0, 100, hidden=True) == before

    def test_closed_it_refuses(self, store: Store) -> None:
        append(store, "a")
        store.close()
        store.close()
        for call in (lambda: store.append([make_entry("b")]), lambda: store.read(0, 1), store.head, store.trim):
            with pytest.raises(StoreBusy):
                call()

    def test_it_tells_numbers(self, store: Store) -> None:
        append(store, "a", "b")
        stats = store.stats()
        assert stats["events"] == 2
        assert stats["head"] == 2
        assert stats["trimmed"] == 0
        assert stats["bytes"] == 2 * len(make_entry("a").json)

    # Copies

    def test_a_backup_opens_as_another_history(self, opened: Opener, tmp_path: Path) -> None:
        self.needs("durable")
        store = opened()
        append(store, "a", "b")
        before = store.read(0, 10)
        target = tmp_path / "data" / "copy.db"
        store.backup(str(target))
        append(store, "c")
        copy = opened("copy.db")
        assert copy.read(0, 10) == before
        assert copy.epochs()[:-1] == store.epochs()
        assert copy.epochs()[-1].first == 3
        assert copy.append([make_entry("a")])[0] == store.append([make_entry("a")])[0]

    def test_a_backup_replaces_nothing(self, opened: Opener, tmp_path: Path) -> None:
        self.needs("durable")
        target = tmp_path / "precious"
        target.write_text("precious")
        with pytest.raises(ConfigError, match="precious"):
            opened().backup(str(target))
        assert target.read_text() == "precious"
        assert not list(tmp_path.glob(".precious*"))
