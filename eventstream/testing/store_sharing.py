"""What a store promises to several at once: one order, and word of what has come."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventstream import (
    Conflict,
    Cursor,
    Receipt,
    Record,
    Store,
)
from eventstream.testing import other_process
from eventstream.testing.deadline import wait_until
from eventstream.testing.other_process import make_entry
from eventstream.testing.store_fixtures import (
    Opener,
    StoreFixtures,
    append,
    offsets_of,
    read_all,
    receipt_of,
)


class SharingContract(StoreFixtures):
    """The part of StoreContract that looks at several handles, threads and processes."""

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

    def test_an_echo_is_what_is_read(self, opened: Opener) -> None:
        """An offer that a store need not make; where it does, nothing lies between the events of a run."""
        stores = [opened(), opened()] if self.shared else [opened()]
        runs: list[tuple[int, int, list[Record]]] = []

        def work(store: Store, name: str) -> None:
            for number in range(40):
                shared, hidden = make_entry(f"shared-{number}"), make_entry(f"{name}-{number}-hidden", deliver=False)
                store.append([make_entry(f"{name}-{number}", subject="s"), shared, hidden, shared])

        threads: list[threading.Thread] = []
        for store in stores:
            store.echo(lambda after, reached, records: runs.append((after, reached, records())))
            threads += [threading.Thread(target=work, args=(store, str(len(threads) + n))) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = read_all(stores[0])
        for after, reached, records in runs:
            assert records == [record for record in stored if after < record.offset <= reached]

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


def check_visible_order(store: Store, done: threading.Event) -> list[BaseException]:
    """Follow the history while others append; nothing may ever appear behind what was seen."""
    seen: list[int] = []
    while not done.is_set() or not seen or seen[-1] < store.head():
        seen += [record.offset for record in store.read(seen[-1] if seen else 0, 100).records]
    everything = [record.offset for record in read_all(store)]
    return [] if seen == everything else [AssertionError(f"seen {len(seen)} of {len(everything)}")]
