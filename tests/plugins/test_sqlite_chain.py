"""What becomes of the chain when somebody edits the file, or the power of the process ends."""

import contextlib
import os
import signal
import sqlite3

import pytest
import sqlite_versions

from eventstream import EventStreamError, Keep
from eventstream.testing import other_process
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_chain import head_of, sound, walk
from eventstream.testing.store_fixtures import append, trim_all
from eventstream_plugins.sqlite import Sqlite, schema

COLUMNS = "offset, type, source, subject, received, deliver, json, hash"


@pytest.fixture
def opened(tmp_path):
    handles = []

    def open_(path="events.db", *, chained=True, keep=None, read_only=False):
        store = Sqlite.create({"path": path})
        store.chained, store.read_only = chained, read_only
        if keep is not None:
            store.keep(keep)
        handles.append(store)
        store.open(PlainServices(tmp_path))
        return store

    yield open_
    for store in handles:
        store.close()


@pytest.fixture
def store(opened):
    store = opened()
    store.append([make_entry(str(number), subject=f"s{number}") for number in range(1, 21)])
    return store


@pytest.fixture
def edit(tmp_path):
    """Run SQL as somebody who may write the file."""

    def run(*statements, path="events.db"):
        with contextlib.closing(sqlite3.connect(tmp_path / path, timeout=10)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return run


def damage_of(store):
    verdict = walk(store)
    assert verdict.damage is not None
    return verdict.damage.offset, verdict.damage.kind


@pytest.mark.parametrize(
    "change",
    [
        "type = 'other'",
        "type = type || ' '",
        "source = '/other'",
        "subject = 'other'",
        "subject = NULL",
        "subject = ''",
        "received = received + 1",
        "received = 'never'",
        "deliver = 0",
        "json = CAST(replace(json, 'contract', 'Contract') AS BLOB)",
        "json = json || ' '",
        "json = x'ff'",
        "hash = zeroblob(32)",
        "hash = 'text'",
        # What moves a boundary between two columns.
        "type = type || substr(source, 1, 1), source = substr(source, 2)",
        "source = source || subject, subject = ''",
    ],
)
@pytest.mark.parametrize("offset", [1, 7, 20])
def test_an_altered_event_is_named(store, edit, change, offset):
    edit(f"UPDATE events SET {change} WHERE offset = {offset}")
    assert damage_of(store) == (offset, "altered")


def test_the_first_of_several_is_named(store, edit):
    edit("UPDATE events SET deliver = 0 WHERE offset IN (5, 9)")
    assert damage_of(store) == (5, "altered")
    assert walk(store).verified == 4


def test_an_absent_and_an_empty_subject_differ(store, edit):
    append(store, "none")
    edit("UPDATE events SET subject = '' WHERE offset = 21")
    assert damage_of(store) == (21, "altered")


@pytest.mark.parametrize(("first", "last"), [(1, 1), (7, 7), (7, 11), (20, 20), (6, 20), (1, 20)])
def test_a_deleted_event_is_named(store, edit, first, last):
    edit(f"DELETE FROM events WHERE offset BETWEEN {first} AND {last}")
    assert damage_of(store) == (first, "missing")


def test_a_hidden_deletion_is_named(store, edit):
    """The events behind the gap are moved up, so that no number is missing."""
    edit(
        "DELETE FROM events WHERE offset = 7",
        "UPDATE events SET offset = offset - 1 WHERE offset > 7",
        "UPDATE meta SET head = 19, chained = 19",
    )
    assert damage_of(store)[0] == 7


def test_a_cut_tail_is_named_by_the_noted_head(store, edit):
    early = head_of(store)
    append(store, "a", "b", "c")
    late = head_of(store)
    edit(
        "DELETE FROM events WHERE offset > 21",
        "UPDATE meta SET head = 21, chained = 21, chain_hash = (SELECT hash FROM events WHERE offset = 21)",
    )
    assert sound(store, early.hash).found == 20
    assert sound(store, late.hash).found is None


def test_a_rewritten_history_is_named_by_the_noted_head(store, opened):
    noted = head_of(store)
    forged = opened("forged.db")
    forged.append([make_entry(str(number), subject="forged") for number in range(1, 31)])
    assert sound(forged, noted.hash).found is None


def test_an_event_put_behind_the_end(store, edit):
    row = "SELECT 21, type, source, subject, received, deliver, json, hash FROM events WHERE offset = 20"
    edit(f"INSERT INTO events ({COLUMNS}) {row}")
    assert damage_of(store) == (21, "inserted")


def test_an_event_put_behind_the_end_with_the_head_moved(store, edit):
    row = "SELECT 21, type, source, subject, received, deliver, json, NULL FROM events WHERE offset = 20"
    edit(f"INSERT INTO events ({COLUMNS}) {row}", "UPDATE meta SET head = 21")
    append(store, "next")
    verdict = sound(store)
    assert (verdict.verified, verdict.outside, verdict.first_outside) == (21, 1, 21)


def test_an_event_put_between(store, edit):
    edit(
        "UPDATE events SET offset = -offset - 1 WHERE offset >= 7",
        "UPDATE events SET offset = -offset WHERE offset < 0",
        f"INSERT INTO events ({COLUMNS}) SELECT 7, 'forged', source, subject, received, 1, json, hash"
        " FROM events WHERE offset = 3",
        "UPDATE meta SET head = 21, chained = 21",
    )
    assert damage_of(store) == (7, "inserted")


def test_an_event_put_where_retention_has_been(opened, edit):
    store = opened(keep=Keep(events=5))
    append(store, *map(str, range(20)))
    trim_all(store)
    edit(f"INSERT INTO events ({COLUMNS}) SELECT 3, type, source, '', 1, 1, json, NULL FROM events WHERE offset = 20")
    assert damage_of(store) == (3, "inserted")


@pytest.mark.parametrize(("one", "other"), [(7, 8), (1, 2), (3, 17), (19, 20)])
@pytest.mark.parametrize("columns", ["json", "all", "all but the hash"])
def test_exchanged_events_are_named(store, edit, one, other, columns):
    if columns == "all":
        edit(
            f"UPDATE events SET offset = -1 WHERE offset = {one}",
            f"UPDATE events SET offset = {one} WHERE offset = {other}",
            f"UPDATE events SET offset = {other} WHERE offset = -1",
        )
    else:
        names = "json" if columns == "json" else "type, source, subject, received, deliver, json"
        edit(
            f"CREATE TABLE copy AS SELECT * FROM events WHERE offset IN ({one}, {other})",
            f"UPDATE events SET ({names}) = (SELECT {names} FROM copy WHERE offset <> events.offset)"
            f" WHERE offset IN ({one}, {other})",
            "DROP TABLE copy",
        )
    expected = "altered" if columns == "json" else "reordered"  # each row has a subject of its own
    assert damage_of(store) == (one, expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("anchor_hash = zeroblob(32)", (11, "altered")),
        ("anchor_hash = NULL", (11, "altered")),
        ("anchor = 9", (9, "anchor")),
        ("anchor = 0", (0, "anchor")),
        ("anchor = 12", (11, "anchor")),
        ("anchor = NULL", (0, "anchor")),
        ("anchor = 99", (11, "anchor")),
        ("trimmed = 12", (10, "anchor")),
        ("trimmed = 5", (6, "missing")),
        ("chained = 19", (20, "end")),
        ("chained = NULL", (20, "end")),
        ("chain_hash = zeroblob(32)", (20, "end")),
        ("chain_hash = NULL", (20, "end")),
        ("head = 19", (20, "inserted")),
        ("head = 'text'", (11, "inserted")),
        ("chained = 'text', chain_hash = 7", (20, "end")),
        ("head = 25", (21, "missing")),
    ],
)
def test_an_edited_note_is_named(opened, edit, change, expected):
    store = opened(keep=Keep(events=10))
    append(store, *map(str, range(20)))
    trim_all(store)
    assert sound(store).anchor.offset == 10
    edit(f"UPDATE meta SET {change}")
    assert damage_of(store) == expected


def test_hashes_taken_away_do_not_go_unseen(store, edit):
    edit("UPDATE events SET hash = NULL WHERE offset > 10")
    verdict = walk(store)
    assert (verdict.outside, verdict.first_outside) == (10, 11)
    edit("UPDATE meta SET anchor = NULL, chained = NULL")
    with pytest.raises(EventStreamError, match="no hash chain"):
        walk(store)


def test_killed_writers_leave_a_whole_chain(opened, tmp_path):
    described = Sqlite.create({"path": "events.db"})
    described.chained = True
    noted = []
    for life in range(3):
        processes = [other_process.start(described, tmp_path, "append", f"{life}.{n}", "100000") for n in range(2)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            for _ in range(30):
                process.stdout.readline()
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        for process in processes:
            process.stdout.close()
            process.stdin.close()
            process.wait()
        store = opened()
        noted.append(head_of(store))
        for head in noted:
            verdict = sound(store, head.hash)
            assert (verdict.found, verdict.outside) == (head.offset, 0)
        assert verdict.verified == store.head() >= 60 * (life + 1)
        store.close()


def test_a_file_of_the_first_version_gets_a_chain(opened, tmp_path):
    """It has no columns for it; a reader finds no chain, a server adds them, also beside another one."""
    store = opened(chained=False)
    append(store, "a", "b")
    store.close()
    sqlite_versions.take_back(tmp_path / "events.db", 1)
    reader = opened(read_only=True)
    assert (reader.head(), reader.chain_head(), reader.read_chain(0, 10)) == (2, None, None)
    store = opened()
    append(store, "c")
    verdict = sound(store)
    assert (verdict.older, verdict.verified) == (2, 1)


def test_an_upgrade_beside_running_processes(opened, tmp_path):
    first = opened(chained=False)
    sqlite_versions.take_back(tmp_path / "events.db", 1)
    second = opened()
    append(second, "a")
    append(first, "b")
    with contextlib.closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        assert schema.version_of(connection) == schema.VERSION
    assert (sound(second).verified, sound(second).outside) == (1, 1)
