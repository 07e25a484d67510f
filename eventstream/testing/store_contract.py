"""What every store promises, as a suite: subclass StoreContract and write `make_store`.

What a contract cannot see each store tests itself: torn last writes, recovery several times over, a
full disk, a killed writer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from eventstream import (
    ConfigError,
    Conflict,
    Cursor,
    Duration,
    Filter,
    Keep,
    Page,
    Receipt,
    Record,
    Size,
    Store,
    StoreBusy,
    parse_filter,
)
from eventstream.testing import other_process
from eventstream.testing.deadline import Clock, wait_until
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices

Opener = Callable[..., Store]


class StoreContract:
    """The promises of a store. Set the features and write `make_store`."""

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

        def open_(name: str = "events.db", keep: Keep | None = None) -> Store:
            store = self.make_store(tmp_path / "data" / name)
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

    # Appending

    def test_an_empty_history(self, store: Store) -> None:
        assert store.head() == 0
        assert store.read(0, 10) == Page([], 0, 0, 0)
        assert store.append([]) == []

    def test_offsets_increase_in_the_order_of_appending(self, store: Store) -> None:
        offsets = [
            offset for batch in range(5) for offset in append(store, *(f"{batch}.{n}" for n in range(batch + 1)))
        ]
        assert offsets == sorted(set(offsets))
        assert offsets[0] > 0
        assert store.head() == offsets[-1]
        assert [record.offset for record in read_all(store)] == offsets

    def test_a_receipt_names_the_current_epoch(self, store: Store) -> None:
        (receipt,) = store.append([make_entry("a")])
        assert isinstance(receipt, Receipt)
        assert receipt.cursor.epoch == store.epochs()[-1].name
        assert Cursor.parse(str(receipt.cursor)) == receipt.cursor

    def test_an_event_is_read_back_as_it_was_written(self, store: Store, clock: Clock) -> None:
        body = '{"id":"ü","data":"\\u0000 \u2028 🐍"}'.encode()
        clock.now = 1_800_000_000.123456
        entry = make_entry("ü", source="/ü?x=%20'\"\\", type="t.ü", subject="s'\"|🐍", json=body)
        (offset,) = offsets_of(store.append([entry]))
        (record,) = store.read(0, 10).records
        expected = Record(offset, "t.ü", "/ü?x=%20'\"\\", "s'\"|🐍", body, record.received, True)
        assert record == expected
        assert record.received == pytest.approx(clock.now, abs=1e-5)

    def test_a_large_batch_and_a_large_event(self, store: Store) -> None:
        big = make_entry("big", json=b'"' + b"x" * 3_000_000 + b'"')
        batch = [make_entry(str(n)) for n in range(5000)]
        assert len(set(offsets_of(store.append([*batch, big])))) == 5001
        assert [len(record.json) for record in read_all(store)][-1] == 3_000_002

    # Repeats and conflicts

    def test_a_repeat_gets_the_first_receipt(self, store: Store) -> None:
        first = store.append([make_entry("a"), make_entry("b")])
        again = store.append([make_entry("b"), make_entry("c"), make_entry("a")])
        assert again[0] == receipt_of(first[1])._replace(duplicate=True)
        assert again[2] == receipt_of(first[0])._replace(duplicate=True)
        assert receipt_of(again[1]).duplicate is False
        assert len(read_all(store)) == 3

    def test_a_repeat_within_one_call(self, store: Store) -> None:
        first, second = store.append([make_entry("a"), make_entry("a")])
        assert second == receipt_of(first)._replace(duplicate=True)
        assert len(read_all(store)) == 1

    def test_the_same_id_of_another_source_is_another_event(self, store: Store) -> None:
        append(store, "a")
        (receipt,) = store.append([make_entry("a", source="/other")])
        assert receipt_of(receipt).duplicate is False

    def test_other_content_under_a_known_id_conflicts(self, store: Store) -> None:
        first = store.append([make_entry("a")])
        results = store.append([make_entry("b"), make_entry("a", fingerprint=b"other"), make_entry("a")])
        assert results == [None, Conflict("a", "/contract"), receipt_of(first[0])._replace(duplicate=True)]
        assert [record.offset for record in read_all(store)] == offsets_of(first)
        assert receipt_of(store.append([make_entry("b")])[0]).duplicate is False

    def test_a_conflict_within_one_atomic_call_appends_nothing(self, store: Store) -> None:
        results = store.append([make_entry("a"), make_entry("a", fingerprint=b"other"), make_entry("a")])
        assert results == [None, Conflict("a", "/contract"), None]
        assert store.head() == 0

    def test_a_partial_append_leaves_out_only_the_conflict(self, store: Store) -> None:
        append(store, "a")
        other = make_entry("a", fingerprint=b"other")
        results = store.append([make_entry("b"), other, make_entry("c")], atomic=False)
        assert results[1] == Conflict("a", "/contract")
        assert len(offsets_of([results[0], results[2]])) == 2
        assert len(read_all(store)) == 3

    # Reading

    def test_pages_follow_each_other(self, store: Store) -> None:
        offsets = append(store, *map(str, range(25)))
        place, seen = 0, []
        while (page := store.read(place, 10)).next > place:
            seen.append([record.offset for record in page.records])
            assert all(place < record.offset <= page.next for record in page.records)
            place = page.next
        assert seen == [offsets[:10], offsets[10:20], offsets[20:]]
        assert place == page.head == store.head()

    def test_a_page_is_bounded_in_bytes(self, store: Store) -> None:
        store.append([make_entry(str(n), json=b'"' + b"x" * 100_000 + b'"') for n in range(40)])
        page = store.read(0, 1000)
        assert 0 < len(page.records) < 40
        assert page.next < page.head
        assert len(read_all(store)) == 40

    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({"type": ["a.x"]}, [1, 4]),
            ({"type": ["a.*"]}, [1, 2, 4]),
            ({"type": ["a.y", "b*"]}, [2, 3]),
            ({"subject": ["s_*"]}, [2]),
            ({"subject": ["*"]}, [2, 3]),
            ({"source": ["/2"], "type": ["a.*"]}, [4]),
            ({"type": ["A.x", "%", "a._"]}, []),
            ({"filter": ['{"suffix": {"type": ".x"}}']}, [1, 3, 4]),
            ({"filter": ['{"not": {"exact": {"type": "a.x"}}}']}, [2, 3]),
            ({"filter": ['{"exact": {"region": "eu"}}']}, [3]),
            ({"filter": ['{"prefix": {"type": "a."}}'], "source": ["/1"]}, [1, 2]),
        ],
    )
    def test_a_filter_selects(self, store: Store, parameters: dict[str, list[str]], expected: list[int]) -> None:
        offsets = append_varied(store)
        wanted = parse_filter(parameters)
        for limit in (1, 500):
            found = [record.offset for record in read_all(store, wanted, limit=limit)]
            assert found == [offsets[n - 1] for n in expected]

    def test_next_steps_over_what_the_filter_skips(self, store: Store) -> None:
        append(store, *map(str, range(12_000)))
        absent = parse_filter({"type": ["absent"]})
        page = store.read(0, 10, absent)
        assert page.records == []
        assert page.next > 0
        assert read_all(store, absent) == []
        assert store.read(12_000, 10, absent).next == store.head()

    def test_what_is_not_delivered_is_seen_only_on_demand(self, store: Store) -> None:
        store.append([make_entry("a"), make_entry("b", deliver=False), make_entry("c", deliver=False)])
        assert [record.offset for record in read_all(store)] == [1]
        page = store.read(0, 10)
        assert page.next == page.head
        hidden = store.read(0, 10, hidden=True).records
        assert [record.deliver for record in hidden] == [True, False, False]

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

    # Watching

    def test_a_watcher_hears_of_growth(self, opened: Opener) -> None:
        stores = [opened(), opened()] if self.shared else [opened()]
        heard: list[list[int]] = [[] for _ in stores]
        for store, heads in zip(stores, heard, strict=True):
            store.watch(heads.append, lambda payload: None)
        (*_, last) = append(stores[0], "a", "b", "c")
        for heads in heard:
            wait_until(lambda heads=heads: last in heads)  # type: ignore[misc]  # bound now

    def test_a_watcher_hears_ephemeral_payloads_in_order(self, opened: Opener) -> None:
        stores = [opened(), opened()] if self.shared else [opened()]
        heard: list[list[bytes]] = [[] for _ in stores]
        for store, payloads in zip(stores, heard, strict=True):
            store.watch(lambda head: None, payloads.append)
        sent = [b"a", b"\x00" * 65_536, b"c"]
        for payload in sent:
            stores[0].announce(payload)
        for payloads in heard:
            wait_until(lambda payloads=payloads: len(payloads) == 3)  # type: ignore[misc]  # bound now
            assert payloads == sent

    def test_too_large_a_payload_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="65536"):
            store.announce(b"x" * 65_537)

    def test_a_watcher_that_left_disturbs_nobody(self, opened: Opener) -> None:
        self.needs("shared")
        leaving, staying = opened(), opened()
        heads: list[int] = []
        leaving.watch(lambda head: None, lambda payload: None)
        staying.watch(heads.append, lambda payload: None)
        append(staying, "a")
        leaving.close()
        append(staying, "b")
        wait_until(lambda: heads[-1:] == [2])

    # Several at once

    def test_threads_append_in_one_order(self, store: Store) -> None:
        failures: list[BaseException] = []
        done = threading.Event()

        def work(name: str) -> None:
            try:
                for number in range(50):
                    append(store, f"{name}-{number}-a", f"{name}-{number}-b")
            except BaseException as error:  # noqa: BLE001  # told below, on the thread that can fail the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(str(name),)) for name in range(8)]
        watcher = threading.Thread(target=lambda: failures.extend(check_visible_order(store, done)))
        for thread in [watcher, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        assert failures == []
        records = read_all(store)
        assert len(records) == 800
        for name in range(8):
            prefix = f'"id":"{name}-'.encode()
            mine = [record.json for record in records if prefix in record.json]
            assert mine == [make_entry(f"{name}-{n}-{half}").json for n in range(50) for half in "ab"]

    def test_threads_that_repeat_each_other_append_once(self, store: Store) -> None:
        results: list[Receipt | Conflict | None] = []

        def work() -> None:
            for number in range(50):
                results.extend(store.append([make_entry(str(number)), make_entry(str(number + 1))]))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(read_all(store)) == 51
        assert sum(not receipt_of(result).duplicate for result in results) == 51

    def test_one_call_s_conflict_is_its_own(self, store: Store) -> None:
        append(store, "taken")
        outcomes: dict[str, Sequence[Receipt | Conflict | None]] = {}

        def work(name: str) -> None:
            other = make_entry("taken", fingerprint=b"other") if int(name) % 2 else make_entry(f"{name}-last")
            outcomes[name] = store.append([make_entry(f"{name}-first"), other])

        threads = [threading.Thread(target=work, args=(str(name),)) for name in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, results in outcomes.items():
            if int(name) % 2:
                assert results == [None, Conflict("taken", "/contract")]
            else:
                assert len(offsets_of(results)) == 2
        assert len(read_all(store)) == 1 + 8 * 2

    def test_processes_append_in_one_order(self, opened: Opener, tmp_path: Path) -> None:
        self.needs("shared")
        store = opened()
        heads: list[int] = []
        store.watch(heads.append, lambda payload: None)
        others = [other_process.start(store, tmp_path, "append", f"p{n}", "40") for n in range(3)]
        receipts = other_process.run(others)
        epoch = store.epochs()[-1].name
        offsets = [[Cursor.parse(line).offset for line in lines] for lines in receipts]
        assert {Cursor.parse(line).epoch for lines in receipts for line in lines} == {epoch}
        assert all(mine == sorted(mine) for mine in offsets)
        assert sorted(offset for mine in offsets for offset in mine) == [record.offset for record in read_all(store)]
        wait_until(lambda: max(heads, default=0) == store.head())

    def test_another_process_announces(self, opened: Opener, tmp_path: Path) -> None:
        self.needs("shared")
        store = opened()
        heard: list[bytes] = []
        store.watch(lambda head: None, heard.append)
        other_process.run([other_process.start(store, tmp_path, "announce", "hello")])
        wait_until(lambda: heard == [b"hello"])

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


def check_visible_order(store: Store, done: threading.Event) -> list[BaseException]:
    """Follow the history while others append; nothing may ever appear behind what was seen."""
    seen: list[int] = []
    while not done.is_set() or not seen or seen[-1] < store.head():
        seen += [record.offset for record in store.read(seen[-1] if seen else 0, 100).records]
    everything = [record.offset for record in read_all(store)]
    return [] if seen == everything else [AssertionError(f"seen {len(seen)} of {len(everything)}")]
