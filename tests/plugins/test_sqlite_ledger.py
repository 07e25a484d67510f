import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from eventstream import StoreBusy
from eventstream.testing import other_process
from eventstream.testing.deadline import Clock
from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite, facts, rates
from eventstream_plugins.sqlite.rates import Rates

SLOWLY = 1e-3

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def table(tmp_path):
    table = Rates(str(tmp_path / "e.db"))
    yield table
    table.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = Sqlite.create({"path": "e.db"})
    store.open(PlainServices(tmp_path, clock))
    yield store
    store.close()


def test_killed_while_it_holds_the_lock(table, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "e.db.rates")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), (tmp_path / "e.db.rates").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    began = time.monotonic()
    assert table.take("b", 1, SLOWLY, 1).taken
    assert time.monotonic() - began < 1


def test_exact_while_takers_are_killed(store, tmp_path):
    """No taker gets a token twice, nor blocks the others by dying, wherever it is killed."""
    burst = 2000
    doomed = [other_process.start(store, tmp_path, "take", "b", "1000000", str(burst)) for _ in range(2)]
    others = [other_process.start(store, tmp_path, "take", "b", "1000", str(burst)) for _ in range(2)]
    for process in doomed:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
    ledger = store.open_ledger()
    while ledger.take("b", 0, rate=SLOWLY, burst=burst).remaining > burst - 200:
        pass
    for process in doomed:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    left = ledger.take("b", 0, rate=SLOWLY, burst=burst).remaining
    got = sum(int(lines[0]) for lines in other_process.run(others))
    assert got == min(2000, int(left + 0.01))
    ledger.close()


def test_a_table_of_another_boot_starts_empty(tmp_path):
    table = Rates(str(tmp_path / "e.db"))
    assert table.take("b", 5, SLOWLY, 5).taken
    table.close()
    again = Rates(str(tmp_path / "e.db"))
    assert not again.take("b", 1, SLOWLY, 5).taken
    again.close()
    with (tmp_path / "e.db.rates").open("r+b") as file:
        file.seek(len(rates._MAGIC))
        file.write(b"00000000")
    rebooted = Rates(str(tmp_path / "e.db"))
    assert rebooted.take("b", 5, SLOWLY, 5).taken
    rebooted.close()


def test_the_bucket_nearest_to_full_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "SLOTS", rates._WINDOW)
    table = Rates(str(tmp_path / "e.db"))
    for number in range(rates._WINDOW):
        assert table.take(f"b{number}", 10 - (number == 3), SLOWLY, 10).taken
    assert table.evicted() == 0
    assert table.take("one more", 10, SLOWLY, 10).taken
    assert table.evicted() == 1
    assert table.take("b3", 10, SLOWLY, 10).taken  # it was forgotten
    assert sum(table.take(f"b{number}", 0, SLOWLY, 10).remaining < 1 for number in range(rates._WINDOW)) >= 6
    table.close()


def test_a_full_bucket_s_slot_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "SLOTS", rates._WINDOW)
    now = 10**12
    monkeypatch.setattr(rates, "_clock", lambda: now)
    table = Rates(str(tmp_path / "e.db"))
    for number in range(200):
        assert table.take(f"b{number}", 1, 1.0, 1).taken
        assert not table.take(f"b{number}", 1, 1.0, 1).taken
        now += 10**9
    assert table.evicted() == 0
    table.close()


def test_exact_on_a_clock_that_stands(table, monkeypatch):
    now = 10**12
    monkeypatch.setattr(rates, "_clock", lambda: now)
    assert table.take("b", 3, 7.0, 3) == (True, pytest.approx(0, abs=1e-6), 0.0, pytest.approx(3 / 7))
    refused = table.take("b", 1, 7.0, 3)
    assert not refused.taken
    now += round(refused.wait * 1e9) - 2
    assert not table.take("b", 1, 7.0, 3).taken
    now += 3
    assert table.take("b", 1, 7.0, 3).taken
    assert not table.take("b", 1, 7.0, 3).taken


def test_a_take_is_quick(table):
    """It runs on the loop, at every publish: some 10 microseconds; the bound leaves room for a slow machine."""
    best = min(timed(lambda: table.take("b", 1, 1e6, 1000)) for _ in range(2000))
    assert best < 50e-6


def claim_many(ledger, name, count):
    for number in range(count):
        ledger.claim(f"{name}{number}", 60)


def put_many(ledger, name, count):
    for number in range(count):
        ledger.put(f"{name}/{number}", b"", 60)


def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def test_facts_are_bounded(store, clock, monkeypatch):
    monkeypatch.setattr(facts, "MAX_ROWS", 200)
    monkeypatch.setattr(facts, "_PURGE_EVERY", 10)
    ledger = store.open_ledger()
    assert all(ledger.claim(f"k{number}", 60) for number in range(205))
    with pytest.raises(StoreBusy, match="200 is the bound"):
        claim_many(ledger, "more", 20)
    put_many(ledger, "revoked", 205)  # they have room of their own
    with pytest.raises(StoreBusy, match="200 is the bound"):
        put_many(ledger, "more", 20)
    clock.advance(61)
    assert ledger.claim("k0", 60)
    ledger.put("ticket", b"", 60)
    ledger.close()


def test_expired_facts_are_removed(store, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "_PURGE_EVERY", 10)
    ledger = store.open_ledger()
    for number in range(50):
        ledger.claim(f"k{number}", 60)
        ledger.put(f"f{number}", b"", 60)
    clock.advance(61)
    for number in range(10):
        ledger.claim(f"new{number}", 60)
        ledger.put(f"new{number}", b"", 60)
    ledger.close()
    connection = sqlite3.connect(tmp_path / "e.db-ledger.db")
    assert connection.execute("SELECT count(*) FROM claims").fetchone()[0] <= 11
    assert connection.execute("SELECT count(*) FROM facts").fetchone()[0] <= 11
    connection.close()


def test_facts_outlive_their_ledger(store):
    first = store.open_ledger()
    assert first.claim("nonce", 60)
    first.put("ticket", b"x", 60)
    first.close()
    again = store.open_ledger()
    assert not again.claim("nonce", 60)
    assert again.get("ticket") == b"x"
    again.close()
