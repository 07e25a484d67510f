"""What every store promises, as a suite: subclass StoreContract and write `make_store`.

What a contract cannot see each store tests itself: torn last writes, recovery several times over, a
full disk, a killed writer.
"""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import pytest

from eventstream import (
    Conflict,
    Cursor,
    Page,
    Receipt,
    Record,
    Store,
    parse_filter,
)
from eventstream.testing.deadline import Clock
from eventstream.testing.other_process import make_entry
from eventstream.testing.store_chain import ChainContract
from eventstream.testing.store_fixtures import (
    append,
    append_varied,
    offsets_of,
    read_all,
    receipt_of,
)
from eventstream.testing.store_history import HistoryContract
from eventstream.testing.store_sharing import SharingContract


class StoreContract(HistoryContract, SharingContract, ChainContract):
    """The promises of a store. Set the features and write `make_store`."""

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
