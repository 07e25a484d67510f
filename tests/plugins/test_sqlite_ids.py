"""Ids: known for as long as promised, in whichever index they stand, and by whichever version they were written."""

import contextlib
import sqlite3

import pytest
import sqlite_versions
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream import Conflict, Duration, Keep
from eventstream.testing.deadline import Clock
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append
from eventstream_plugins.sqlite import Sqlite, commit, ids, schema

pytestmark = pytest.mark.usefixtures("commits")

MINUTE = Keep(ids=Duration(60))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture
def opened(path, clock):
    handles = []

    def open_(*, read_only=False):
        store = Sqlite.create({"path": path.name, "durability": "os"})
        store.keep(MINUTE)
        store.read_only = read_only
        handles.append(store)
        store.open(PlainServices(path.parent, clock))
        return store

    yield open_
    for store in handles:
        store.close()


@pytest.fixture
def small(monkeypatch):
    """Let keys move on to the small and to the large index after a few."""
    monkeypatch.setattr(ids, "LATEST", 20)
    monkeypatch.setattr(ids, "RECENT", 100)


@pytest.fixture
def older(path):
    """A process of version 2; call it once the file is there."""
    with contextlib.ExitStack() as stack:

        def start():
            program = sqlite_versions.Older(path)
            stack.callback(program.close)
            return program

        yield start


def count(path, table):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def are_known(store, names):
    found = store.append([make_entry(name) for name in names], atomic=False)
    return [isinstance(result, Conflict) or result.duplicate for result in found]


@pytest.mark.usefixtures("small")
def test_ids_are_known_in_both_indexes(opened, path):
    store = opened()
    names = [str(number) for number in range(1000)]
    for at in range(0, 500, 50):
        append(store, *names[at : at + 50])
    for name in names[500:]:
        append(store, name)
    assert count(path, "id_small") <= 150
    assert 1000 - 20 <= count(path, "id_small") + count(path, "id_index") <= 1000
    assert all(are_known(store, names))
    assert all(are_known(opened(), names))
    assert store.head() == 1000


@pytest.mark.usefixtures("small")
def test_what_is_forgotten_leaves_nothing_behind(opened, path, clock):
    store = opened()
    for minute in range(30):
        append(store, *(f"{minute}.{number}" for number in range(200)))
        clock.advance(61)
        store.trim()
        assert store.stats()["ids"] == count(path, "id_log") == 0
        assert count(path, "id_small") + count(path, "id_index") < 1000, "what was forgotten is swept up"
    assert not any(are_known(store, ["0.1", "29.1"]))


@pytest.mark.usefixtures("small")
def test_keys_that_begin_alike_are_different(opened, monkeypatch):
    monkeypatch.setattr(commit, "key_of", lambda entry: b"123456" + entry.id.encode().rjust(10))
    store = opened()
    names = [str(number) for number in range(400)]
    for at in range(0, 400, 40):
        append(store, *names[at : at + 40])
    assert store.head() == 400
    assert all(are_known(store, names))
    assert not any(are_known(store, ["new"]))


def test_an_upgrade_keeps_the_ids_until_they_are_forgotten(opened, path, clock):
    store = opened()
    append(store, "a", "b")
    store.close()
    sqlite_versions.take_back(path, 2)
    reader = opened(read_only=True)
    assert (reader.stats()["ids"], len(reader.read(0, 10).records)) == (2, 2)
    clock.advance(30)
    store = opened()
    append(store, "c")
    assert store.stats()["ids_window"] == pytest.approx(30)
    assert are_known(store, ["a", "b", "c", "d"]) == [True, True, True, False]
    assert store.append([make_entry("a", fingerprint=b"other")]) == [Conflict("a", make_entry("a").source)]
    clock.advance(31)
    store.trim()
    assert (store.stats()["ids"], count(path, "ids_2"), count(path, "id_log")) == (2, 0, 2)
    assert are_known(store, ["a", "c"]) == [False, True]


def test_an_upgrade_from_version_3_keeps_the_ids_and_stops_its_programs(opened, path):
    store = opened()
    append(store, "a", "b")
    store.close()
    sqlite_versions.take_back(path, 3)
    with contextlib.closing(sqlite3.connect(path)) as old:
        found = "SELECT offset FROM id_recent ORDER BY offset"
        assert old.execute(found).fetchall() == [(1,), (2,)]
        store = opened()
        assert are_known(store, ["a", "b", "c"]) == [True, True, False]
        with pytest.raises(sqlite3.OperationalError, match="no such table: id_recent"):
            old.execute(found)
    assert (count(path, "id_small"), count(path, "id_log")) == (2, 3)


def test_what_was_forgotten_may_come_again_while_it_stands_in_no_index(opened, clock):
    store = opened()
    for _ in range(3):
        append(store, "a", "b")
        assert are_known(store, ["a", "b"]) == [True, True]
        clock.advance(61)
        store.trim()
    assert store.head() == 6


def test_an_upgrade_copies_nothing(opened, path):
    store = opened()
    for part in range(10):
        append(store, *(f"{part}.{number}" for number in range(1000)))
    store.close()
    sqlite_versions.take_back(path, 2)
    with contextlib.closing(schema.connect(str(path))) as connection:
        before = connection.total_changes
        schema.upgrade(connection)
        assert schema.version_of(connection) == schema.VERSION
        assert connection.total_changes - before < 10
    assert count(path, "ids_2") == 10_000


@pytest.mark.usefixtures("small")
def test_beside_programs_of_the_version_before(opened, older, path, clock):
    opened().close()
    sqlite_versions.take_back(path, 2)
    old = older()
    keys = [commit.key_of(make_entry(f"old {number}")) for number in range(300)]
    assert old.append(keys[:100], int(clock() * 1e6)) == {}
    new = opened()
    assert old.append(keys[50:200], int(clock() * 1e6)).keys() == set(keys[50:100]), "its own, from before and after"
    assert new.head() == 200
    append(new, *(f"new {number}" for number in range(300)))
    assert are_known(new, [f"old {number}" for number in range(201)]) == [True] * 200 + [False]
    assert len(old.append([commit.key_of(make_entry(f"new {number}")) for number in range(300)], 0)) == 300
    assert old.oldest() == int(clock() * 1e6)
    old.forget(150)
    assert (new.stats()["ids"], count(path, "ids")) == (351, 351)
    assert are_known(new, ["old 150", "old 149"]) == [True, False]
    clock.advance(61)
    new.trim()
    assert (new.stats()["ids"], count(path, "ids")) == (0, 0)
