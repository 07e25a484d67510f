"""Both ways to commit do the same: random requests into both, equal outcomes and equal tables."""

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
import sqlite_commits
import sqlite_versions

from eventstream import Duration, Entry, Keep, StoreBusy
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append
from eventstream_plugins.sqlite import Sqlite, commit, ids, native
from eventstream_plugins.sqlite.session import Sessions
from eventstream_plugins.sqlite.trim import Trimmer

pytestmark = pytest.mark.skipif(not sqlite_commits.COMPILED, reason="_native.c is not compiled here")

TABLES = ("events", "ids_2", "id_log", "id_small", "id_index", "meta")


def tables(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def random_entry(dice):
    return Entry(
        id=dice.choice(["", "é", "a\0b"]) + str(dice.randrange(300)),
        source=dice.choice(["/s", "urn:ü"]),
        type=dice.choice(["t", "type.lönger"]),
        subject=dice.choice([None, "", "s", "súbject"]),
        fingerprint=dice.choice([b"one", b"other", b""]) if dice.random() < 0.1 else b"usual",
        json=dice.randbytes(dice.choice([0, 10, 300])),
        deliver=dice.random() < 0.5,
    )


def random_requests(dice):
    return [
        ([random_entry(dice) for _ in range(dice.choice([1, 1, 2, 5, 30]))], dice.random() < 0.5)
        for _ in range(dice.choice([1, 1, 2, 7]))
    ]


@pytest.fixture
def both(tmp_path):
    """Two files alike, with some ids of version 2, and what commits to each."""
    store = Sqlite.create({"path": "pure.db"})
    store.open(PlainServices(tmp_path, lambda: 1.0))
    append(store, *map(str, range(20)))
    store.close()
    sqlite_versions.take_back(tmp_path / "pure.db", 2)
    store.open(PlainServices(tmp_path, lambda: 1.0))
    store.close()
    shutil.copyfile(tmp_path / "pure.db", tmp_path / "native.db")
    paths = [str(tmp_path / "pure.db"), str(tmp_path / "native.db")]
    pure, other = commit.Commits(Sessions(paths[0], "NORMAL"), chained=False), native.commits(paths[1], "NORMAL")
    yield list(zip(paths, (pure, other), strict=True))
    pure.close()
    other.close()


@pytest.mark.parametrize("seed", range(6))
def test_equal_outcomes_and_tables(both, monkeypatch, seed):
    monkeypatch.setattr(ids, "LATEST", 15)
    monkeypatch.setattr(ids, "RECENT", 40)
    dice = random.Random(seed)
    seen = set()
    for now in range(60):
        asked = random_requests(dice)
        forgets = dice.random() < 0.1
        found = []
        for path, commits in both:
            requests = [commit.Request(entries, atomic=atomic) for entries, atomic in asked]
            head = commits.write(requests, now * 1_000_000, time.monotonic() + 10)
            found.append((head, [(request.outcomes, request.epoch) for request in requests]))
            if forgets:
                sessions = Sessions(path, "NORMAL")
                Trimmer(sessions, Keep(ids=Duration(30))).slice(float(now))
                sessions.close()
        assert found[0] == found[1]
        seen.update(_kind(outcome) for outcomes, _ in found[0][1] for outcome in outcomes)
    assert tables(both[0][0]) == tables(both[1][0])
    assert seen == {"new", "repeat", "conflict", "nothing"}


def test_beside_each_other_on_one_file(both, monkeypatch):
    monkeypatch.setattr(ids, "LATEST", 15)
    monkeypatch.setattr(ids, "RECENT", 40)
    (one_path, alone), (shared_path, first) = both
    others = [
        first,
        commit.Commits(Sessions(shared_path, "NORMAL"), chained=False),
        native.commits(shared_path, "NORMAL"),
    ]
    dice = random.Random(7)
    for now in range(100):
        asked = random_requests(dice)
        found = []
        for commits in (alone, dice.choice(others)):
            requests = [commit.Request(entries, atomic=atomic) for entries, atomic in asked]
            commits.write(requests, now, time.monotonic() + 10)
            found.append([request.outcomes for request in requests])
        assert found[0] == found[1]
    assert tables(one_path) == tables(shared_path)
    for commits in others:
        commits.close()


def _kind(outcome):
    return "nothing" if outcome is None else "new" if outcome > 0 else "repeat" if outcome else "conflict"


def test_what_is_no_entry_harms_nothing(both):
    (_, commits) = both[1]
    request = commit.Request([make_entry("a")], atomic=True)
    request.entries = [("a", "/s", "t")]
    with pytest.raises(TypeError, match="cannot be stored"):
        commits.write([request], 1, time.monotonic() + 10)
    request.entries = []
    with pytest.raises(ValueError, match="as many keys"):
        commits.write([request], 1, time.monotonic() + 10)
    request = commit.Request([make_entry("a")], atomic=True)
    assert commits.write([request], 1, time.monotonic() + 10) == 21


def test_one_that_comes_too_late_writes_nothing(both):
    for _, commits in both:
        request = commit.Request([make_entry("a")], atomic=True)
        with pytest.raises(StoreBusy, match="cannot append: another process held it up"):
            commits.write([request], 1, time.monotonic() - 1)
        assert request.outcomes is None
        assert commits.write([request], 1, time.monotonic() + 10) == 21


def test_the_same_words_of_trouble(both):
    words = []
    for path, commits in both:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'not ü'); END")
        for _ in range(2):  # the second time by another connection
            with pytest.raises(StoreBusy) as caught:
                commits.write([commit.Request([make_entry("a")], atomic=True)], 1, time.monotonic() + 10)
            words.append(str(caught.value).replace(path, "PATH"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER no")
        assert commits.write([commit.Request([make_entry("a")], atomic=True)], 1, time.monotonic() + 10) == 21
    assert len({*words}) == 1
    assert "cannot append: not ü" in words[0]


def test_without_the_library_python_serves(tmp_path):
    program = (
        "import sys; sys.modules['eventstream_plugins.sqlite._native'] = None\n"
        "from eventstream.testing.other_process import make_entry\n"
        "from eventstream.testing.services import PlainServices\n"
        "from eventstream_plugins.sqlite import Sqlite\n"
        "store = Sqlite.create({'path': 'events.db'}); store.open(PlainServices(sys.argv[1]))\n"
        "print(store.append([make_entry('a')])[0].cursor.offset); store.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1\n"
