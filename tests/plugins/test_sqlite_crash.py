"""Killed in the middle of everything: what was acknowledged is there once, in order."""

import os
import shutil
import signal
import time

import pytest
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream import Cursor
from eventstream.testing import other_process
from eventstream.testing.deadline import wait_until
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append, read_all
from eventstream_plugins.sqlite import Sqlite

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture
def opened(tmp_path):
    handles = []

    def open_(path="events.db"):
        store = Sqlite.create({"path": path})
        handles.append(store)
        store.open(PlainServices(tmp_path))
        return store

    yield open_
    for store in handles:
        store.close()


def start_appenders(tmp_path, names):
    described = Sqlite.create({"path": "events.db"})
    processes = [other_process.start(described, tmp_path, "append", name, "100000") for name in names]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def kill(processes):
    """Kill all at once; return the whole lines that each has written."""
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    lines = []
    for process in processes:
        output = process.stdout.read()
        lines.append(output[: output.rfind("\n") + 1].splitlines())
        process.stdout.close()
        process.stdin.close()
        process.wait()
    return lines


def test_killed_writers_five_times_over(opened, tmp_path):
    acknowledged = {}
    for life in range(5):
        processes = start_appenders(tmp_path, [f"{life}.{n}" for n in range(2)])
        early = [[process.stdout.readline().strip() for _ in range(20)] for process in processes]
        for name, (first, rest) in enumerate(zip(early, kill(processes), strict=True)):
            for number, text in enumerate([*first, *rest]):
                acknowledged[Cursor.parse(text)] = f"{life}.{name}-{number}"
        store = opened()
        records = {record.offset: record.json for record in read_all(store)}
        assert list(records) == list(range(1, store.head() + 1))
        assert len(set(records.values())) == len(records)
        for cursor, name in acknowledged.items():
            assert records[cursor.offset] == make_entry(name).json
        names = [epoch.name for epoch in store.epochs()]
        assert {cursor.epoch for cursor in acknowledged} <= set(names[:-1])
        assert store.epochs()[-1].first == store.head() + 1
        (receipt,) = store.append([make_entry(next(iter(acknowledged.values())))])
        assert receipt == (next(iter(acknowledged)), True)
        store.close()
    assert len(acknowledged) >= 200


def test_a_killed_writer_blocks_nobody(opened, tmp_path):
    store = opened()
    processes = start_appenders(tmp_path, ["a", "b", "c"])
    for process in processes:
        process.stdout.readline()
    kill(processes)
    began = time.monotonic()
    append(store, "after")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_a_torn_log(opened, tmp_path, damage):
    """What a power cut leaves of the log: a history without its end, under a new name from there."""
    store = opened()
    append(store, *(f"kept-{n}" for n in range(10)))
    for number in range(30):
        append(store, f"torn-{number}")
    shutil.copyfile(tmp_path / "events.db", tmp_path / "torn.db")
    log = (tmp_path / "events.db-wal").read_bytes()
    if damage == "cut":
        (tmp_path / "torn.db-wal").write_bytes(log[: len(log) - 5000])
    elif damage == "garbage":
        (tmp_path / "torn.db-wal").write_bytes(log[:-9000] + os.urandom(9000))
    elif damage == "gone":
        (tmp_path / "torn.db-wal").write_bytes(log[: len(log) // 2])
    torn = opened("torn.db")
    whole = [record.json for record in read_all(store)]
    left = [record.json for record in read_all(torn)]
    assert 10 <= len(left) < 40
    assert left == whole[: len(left)]
    assert torn.epochs()[-1].first == torn.head() + 1 == len(left) + 1
    assert torn.epochs()[-1].name != store.epochs()[-1].name
    assert append(torn, "next") == [len(left) + 1]


def test_shares_are_fair(opened, tmp_path):
    """Two busy processes take turns; SQLite's own lock gave one of them up to four times the other's share."""
    processes = start_appenders(tmp_path, ["a", "b"])
    store = opened()
    base = store.head()
    wait_until(lambda: store.head() > base + 400, 60)
    kill(processes)
    mine = [b'"a-' in record.json for record in read_all(store) if record.offset > base]
    assert 0.25 < sum(mine) / len(mine) < 0.75
