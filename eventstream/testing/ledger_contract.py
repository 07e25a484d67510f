"""What every ledger promises, as a suite: subclass LedgerContract and write `make_store`."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from eventstream import Ledger, Store, StoreBusy
from eventstream.testing import other_process
from eventstream.testing.deadline import Clock, wait_until
from eventstream.testing.services import PlainServices

SLOWLY = 1e-3  # tokens a second: nothing refills during a test


class LedgerContract:
    """The promises of the ledger that lives beside a store. Set the feature and write `make_store`."""

    shared: ClassVar[bool] = True  # several processes may have it open

    def make_store(self, path: Path) -> Store:
        """Return a store, not yet open, that keeps what it keeps at `path` (which does not exist at first)."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, tmp_path: Path, clock: Clock) -> Iterator[Store]:
        store = self.make_store(tmp_path / "data" / "events.db")
        store.open(PlainServices(tmp_path, clock))
        yield store
        store.close()

    @pytest.fixture
    def opened(self, store: Store) -> Iterator[Callable[[], Ledger]]:
        """Give a function that opens a ledger; all of them are the same one where it is shared."""
        ledgers: list[Ledger] = []

        def open_() -> Ledger:
            ledgers.append(store.open_ledger())
            return ledgers[-1]

        yield open_
        for ledger in ledgers:
            ledger.close()

    @pytest.fixture
    def ledger(self, opened: Callable[[], Ledger]) -> Ledger:
        return opened()

    # Rates

    def test_a_bucket_starts_full_and_gives_its_burst(self, ledger: Ledger) -> None:
        answers = [ledger.take("b", 1, rate=SLOWLY, burst=5) for _ in range(7)]
        assert [answer.taken for answer in answers] == [True] * 5 + [False] * 2
        assert [round(answer.remaining, 2) for answer in answers] == [4, 3, 2, 1, 0, 0, 0]

    def test_an_amount_is_taken_wholly_or_not(self, ledger: Ledger) -> None:
        assert ledger.take("b", 4, rate=SLOWLY, burst=5).taken
        refused = ledger.take("b", 2, rate=SLOWLY, burst=5)
        assert not refused.taken
        assert refused.remaining == pytest.approx(1, abs=0.01)
        assert refused.wait == pytest.approx(1 / SLOWLY, rel=0.01)
        assert refused.reset == pytest.approx(4 / SLOWLY, rel=0.01)
        assert ledger.take("b", 1, rate=SLOWLY, burst=5).taken

    def test_a_taken_answer_waits_for_nothing(self, ledger: Ledger) -> None:
        answer = ledger.take("b", 2, rate=SLOWLY, burst=5)
        assert answer.wait == 0
        assert answer.reset == pytest.approx(2 / SLOWLY, rel=0.01)

    def test_more_than_the_burst_is_never_there(self, ledger: Ledger) -> None:
        assert ledger.take("b", 6, rate=SLOWLY, burst=5).wait == math.inf
        assert ledger.take("b", 5, rate=SLOWLY, burst=5).taken

    def test_tokens_given_back_can_be_taken_again(self, ledger: Ledger) -> None:
        ledger.take("b", 5, rate=SLOWLY, burst=5)
        assert ledger.take("b", -2, rate=SLOWLY, burst=5).remaining == pytest.approx(2, abs=0.01)
        assert [ledger.take("b", 1, rate=SLOWLY, burst=5).taken for _ in range(3)] == [True, True, False]

    def test_a_bucket_never_holds_more_than_its_burst(self, ledger: Ledger) -> None:
        assert ledger.take("b", -100, rate=SLOWLY, burst=5).remaining == 5
        assert [ledger.take("b", 1, rate=SLOWLY, burst=5).taken for _ in range(6)] == [True] * 5 + [False]

    def test_a_bucket_refills(self, ledger: Ledger) -> None:
        assert ledger.take("b", 10, rate=50, burst=10).taken
        wait_until(lambda: ledger.take("b", 10, rate=50, burst=10).taken)

    def test_buckets_are_apart(self, ledger: Ledger) -> None:
        assert all(ledger.take(f"bucket {n}", 1, rate=SLOWLY, burst=1).taken for n in range(1000))
        assert not any(ledger.take(f"bucket {n}", 1, rate=SLOWLY, burst=1).taken for n in range(1000))

    def test_threads_take_exactly_the_burst(self, ledger: Ledger) -> None:
        taken: list[bool] = []

        def work() -> None:
            for _ in range(200):
                taken.append(ledger.take("b", 1, rate=SLOWLY, burst=500).taken)  # noqa: PERF401  # one by one

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 500

    def test_processes_take_exactly_the_burst(self, store: Store, tmp_path: Path) -> None:
        self.needs("shared")
        others = [other_process.start(store, tmp_path, "take", "b", "2000", "3000") for _ in range(3)]
        assert sum(int(lines[0]) for lines in other_process.run(others)) == 3000

    # Claims

    def test_a_claim_is_held_for_its_time(self, ledger: Ledger, clock: Clock) -> None:
        assert ledger.claim("nonce", 60)
        assert not ledger.claim("nonce", 60)
        assert ledger.claim("another", 60)
        clock.advance(59)
        assert not ledger.claim("nonce", 60)
        clock.advance(2)
        assert ledger.claim("nonce", 60)
        assert not ledger.claim("nonce", 60)

    def test_threads_claim_once(self, ledger: Ledger) -> None:
        claimed: list[str] = []

        def work() -> None:
            claimed.extend(f"k{n}" for n in range(50) if ledger.claim(f"k{n}", 60))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == sorted(f"k{n}" for n in range(50))

    def test_a_claim_holds_everywhere(self, opened: Callable[[], Ledger]) -> None:
        self.needs("shared")
        assert opened().claim("nonce", 60)
        assert not opened().claim("nonce", 60)

    # Facts

    def test_a_fact_is_known_for_its_time(self, ledger: Ledger, clock: Clock) -> None:
        assert ledger.get("ticket") is None
        ledger.put("ticket", b"\x00\xff", 60)
        assert ledger.get("ticket") == b"\x00\xff"
        ledger.put("ticket", b"newer", 60)
        assert ledger.get("ticket") == b"newer"
        clock.advance(61)
        assert ledger.get("ticket") is None

    def test_a_fact_is_bounded(self, ledger: Ledger) -> None:
        ledger.put("k", b"x" * 4096, 60)
        with pytest.raises(ValueError, match="4096"):
            ledger.put("k", b"x" * 4097, 60)

    def test_watchers_hear_of_each_put_in_order(self, opened: Callable[[], Ledger]) -> None:
        ledgers = [opened(), opened()] if self.shared else [opened()]
        heard: list[list[tuple[str, bytes]]] = [[] for _ in ledgers]
        ledgers[0].put("before", b"", 60)
        for ledger, facts in zip(ledgers, heard, strict=True):
            ledger.watch(lambda key, value, facts=facts: facts.append((key, value)))  # type: ignore[misc]  # bound now
        ledgers[0].put("a", b"1", 60)
        ledgers[0].put("b", b"2", 60)
        for facts in heard:
            wait_until(lambda facts=facts: len(facts) >= 2)  # type: ignore[misc]  # bound now
            assert facts == [("a", b"1"), ("b", b"2")]

    def test_closed_it_refuses(self, ledger: Ledger) -> None:
        ledger.close()
        ledger.close()
        calls = (
            lambda: ledger.take("b", 1, rate=1, burst=1),
            lambda: ledger.claim("k", 1),
            lambda: ledger.put("k", b"", 1),
            lambda: ledger.get("k"),
        )
        for call in calls:
            with pytest.raises(StoreBusy):
                call()

    def needs(self, feature: str) -> None:
        """Skip what a ledger without this feature does not promise."""
        if not getattr(self, feature):
            pytest.skip(f"this ledger is not {feature}")
