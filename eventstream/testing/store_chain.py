"""What a store promises that offers a hash chain: it covers all that is appended, and outlives everything."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from eventstream import CHAIN_START, ChainMark, Keep, Store, chain_hash
from eventstream.runtime.verify import Verdict, verify
from eventstream.testing import other_process
from eventstream.testing.deadline import Clock
from eventstream.testing.other_process import make_entry
from eventstream.testing.store_fixtures import Opener, StoreFixtures, append, append_varied, trim_all


def walk(store: Store, wanted: bytes | None = None) -> Verdict:
    """Verify the whole chain."""
    return verify(store, wanted, lambda place, head: None)


def sound(store: Store, wanted: bytes | None = None) -> Verdict:
    """Verify the whole chain, which has to be as it was written."""
    verdict = walk(store, wanted)
    assert verdict.damage is None
    assert verdict.reached.hash == head_of(store).hash
    return verdict


def head_of(store: Store) -> ChainMark:
    """Return the chain's head, which there has to be."""
    head = store.chain_head()
    assert head is not None
    return head


class ChainContract(StoreFixtures):
    """The part of StoreContract that looks at the hash chain; skipped for a store that offers none."""

    @pytest.fixture
    def chained(self, opened: Opener) -> Store:
        store = opened()
        if not store.can_chain:
            pytest.skip("this store offers no hash chain")
        store.close()
        return opened("chained.db", chained=True)

    def test_without_the_option_there_is_no_chain(self, store: Store) -> None:
        append(store, "a")
        assert store.chain_head() is None
        assert store.read_chain(0, 10) is None

    def test_the_chain_begins_with_the_first_event(self, chained: Store) -> None:
        assert chained.chain_head() is None
        append(chained, "a")
        page = chained.read_chain(0, 10)
        assert page is not None
        assert page.anchor == ChainMark(0, CHAIN_START)
        assert page.end == chained.chain_head() == ChainMark(1, page.links[0].hash or b"")

    def test_a_hash_covers_the_stored_bytes(self, chained: Store, clock: Clock) -> None:
        clock.now = 1_800_000_000.25
        body = '{"id":"ü"}'.encode()
        chained.append([make_entry("ü", type="t.ü", source="/ü", subject="s🐍", json=body, deliver=False)])
        micro = 1_800_000_000_250_000
        expected = chain_hash(CHAIN_START, 1, micro, False, "t.ü".encode(), "/ü".encode(), "s🐍".encode(), body)
        assert head_of(chained) == ChainMark(1, expected)

    def test_every_kind_of_append_is_covered(self, chained: Store) -> None:
        append_varied(chained)
        chained.append([make_entry("hidden", deliver=False), make_entry("empty", subject="")])
        chained.append([make_entry("big", json=b'"' + b"x" * 3_000_000 + b'"')])
        append(chained, *map(str, range(2500)))
        append(chained, *map(str, range(10)))  # repeats: nothing is appended
        verdict = sound(chained)
        assert (verdict.verified, verdict.older, verdict.outside) == (2507, 0, 0)

    def test_a_head_is_found_again(self, chained: Store) -> None:
        append(chained, "a", "b")
        noted = head_of(chained)
        append(chained, *map(str, range(1500)))
        assert sound(chained, noted.hash).found == 2
        assert sound(chained, bytes(31) + b"x").found is None

    def test_retention_leaves_an_anchor(self, opened: Opener, chained: Store) -> None:
        append(chained, *map(str, range(3000)))
        head = head_of(chained)
        chained.close()
        store = opened("chained.db", Keep(events=10), chained=True)
        assert store.trim()
        assert sound(store).anchor.offset == store.read(0, 1).trimmed  # between two slices
        trim_all(store)
        verdict = sound(store, head.hash)
        assert (verdict.anchor.offset, verdict.verified, verdict.found) == (2990, 10, 3000)
        assert head_of(store) == head

    def test_the_chain_goes_on_when_nothing_is_left(self, opened: Opener, chained: Store) -> None:
        append(chained, "a", "b")
        head = head_of(chained)
        chained.close()
        store = opened("chained.db", Keep(events=0), chained=True)
        trim_all(store)
        verdict = sound(store, head.hash)
        assert (verdict.anchor, verdict.verified, verdict.found) == (head, 0, 2)
        append(store, "c")
        assert sound(store, head.hash).verified == 1

    def test_retention_during_a_walk_is_no_damage(self, opened: Opener, chained: Store) -> None:
        append(chained, *map(str, range(5000)))
        chained.close()
        store = opened("chained.db", Keep(events=500), chained=True)

        def trim(place: int, head: int) -> None:
            store.trim()

        verdict = verify(store, None, trim)
        assert verdict.damage is None
        assert verdict.anchor.offset == 4500
        assert verdict.reached == head_of(store)

    def test_it_is_verified_while_events_come(self, chained: Store) -> None:
        append(chained, *map(str, range(100)))
        done = threading.Event()

        def work() -> None:
            number = 0
            while not done.is_set():
                number += 1
                append(chained, *(f"{number}-{n}" for n in range(20)))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            verdicts = [walk(chained) for _ in range(10)]
        finally:
            done.set()
            thread.join()
        assert [verdict.damage for verdict in verdicts] == [None] * 10
        assert sound(chained).verified == chained.head()

    def test_turned_on_later_it_covers_what_comes(self, opened: Opener) -> None:
        store = opened()
        if not store.can_chain:
            pytest.skip("this store offers no hash chain")
        append(store, *map(str, range(1200)))
        store.close()
        store = opened(chained=True)
        append(store, "a", "b")
        verdict = sound(store)
        assert (verdict.anchor.offset, verdict.older, verdict.verified, verdict.outside) == (1200, 1200, 2, 0)

    def test_what_came_while_it_was_off_stays_outside(self, opened: Opener, chained: Store) -> None:
        append(chained, "a", "b")
        chained.close()
        store = opened("chained.db")
        append(store, "c", "d", "e")
        assert head_of(store).offset == 2
        verdict = sound(store)
        assert (verdict.verified, verdict.outside, verdict.first_outside) == (2, 3, 3)
        store.close()
        store = opened("chained.db", Keep(events=3), chained=True)
        append(store, "f")
        verdict = sound(store)
        assert (verdict.verified, verdict.outside, verdict.first_outside) == (3, 3, 3)
        trim_all(store)  # the anchor comes to lie among those outside
        verdict = sound(store)
        assert (verdict.anchor.offset, verdict.verified, verdict.outside) == (3, 1, 2)

    def test_it_goes_on_in_a_new_epoch(self, opened: Opener, chained: Store) -> None:
        append(chained, "a")
        noted = head_of(chained)
        chained.close()
        store = opened("chained.db", chained=True)
        append(store, "b")
        assert len(store.epochs()) == 2
        assert sound(store, noted.hash).found == 1

    def test_a_backup_has_the_chain(self, opened: Opener, chained: Store, tmp_path: Path) -> None:
        append(chained, "a", "b")
        noted = head_of(chained)
        chained.backup(str(tmp_path / "data" / "copy.db"))
        append(chained, "c")
        copy = opened("copy.db", chained=True)
        assert sound(copy, noted.hash).found == 2
        append(copy, "d")
        assert sound(copy).verified == 3
        assert sound(copy, head_of(chained).hash).found is None  # what came after the backup is not in it

    def test_processes_share_one_chain(self, chained: Store, tmp_path: Path) -> None:
        others = [other_process.start(chained, tmp_path, "append", f"p{n}", "200") for n in range(2)]
        other_process.run(others)
        assert sound(chained).verified == 400
