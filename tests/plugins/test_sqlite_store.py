import sqlite3
import stat
import threading

import pytest
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream import ConfigError, StoreBusy
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append, read_all
from eventstream_plugins.sqlite import Sqlite
from eventstream_plugins.sqlite import presence as presence_module

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture
def opened(tmp_path):
    handles = []

    def open_(path="data/events.db", *, read_only=False, **config):
        store = Sqlite.create({"path": path, **config})
        store.read_only = read_only
        handles.append(store)
        store.open(PlainServices(tmp_path))
        return store

    yield open_
    for store in handles:
        store.close()


def test_a_reader_starts_no_epoch_and_writes_nothing(opened, tmp_path):
    store = opened()
    append(store, "a", "b")
    store.close()
    before = sorted((tmp_path / "data").iterdir())
    reader = opened(read_only=True)
    assert len(read_all(reader)) == 2
    assert len(reader.epochs()) == 1
    reader.backup(str(tmp_path / "copy.db"))
    for call in (lambda: reader.append([make_entry("c")]), lambda: reader.announce(b"x")):
        with pytest.raises(StoreBusy, match="reading only"):
            call()
    reader.close()
    assert sorted((tmp_path / "data").iterdir()) == before
    assert len(opened().epochs()) == 2


def test_a_reader_does_not_keep_the_first_writer_from_its_epoch(opened):
    opened().close()
    reader = opened(read_only=True)
    assert len(opened().epochs()) == 2
    assert len(reader.epochs()) == 2


def test_a_reader_of_nothing_is_told_so(opened, tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened"):
        opened("absent.db", read_only=True)
    assert not (tmp_path / "absent.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigError, match="no history yet"):
        opened("empty.db", read_only=True)


def test_those_who_open_together_start_one_epoch(opened):
    opened().close()
    gate = threading.Barrier(8)
    epochs, failures = [], []

    def work():
        gate.wait()
        try:
            epochs.append(opened().epochs()[-1].name)
        except Exception as error:  # noqa: BLE001  # looked at below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(epochs)) == 1


def test_files_are_for_their_owner_only(opened, tmp_path):
    store = opened("new/deep/events.db")
    append(store, "a")
    ledger = store.open_ledger()
    store.watch(lambda head: None, lambda payload: None)
    store.backup(str(tmp_path / "copy.db"))
    for path in [tmp_path / "copy.db", *(tmp_path / "new").rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert path.is_socket() or mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    ledger.close()


@pytest.mark.parametrize("name", ["a?b.db", "a%20b.db", "a#b.db", "a b ü.db", "x" * 150 + ".db"])
def test_any_path_works(opened, name):
    store = opened(name)
    heads = []
    other = opened(name)
    other.watch(heads.append, lambda payload: None)
    append(store, "a")
    assert len(read_all(other)) == 1


def test_the_list_of_epochs_is_bounded(opened, monkeypatch):
    monkeypatch.setattr(presence_module, "MAX_EPOCHS", 3)
    names = []
    for _ in range(5):
        store = opened()
        names.append(store.epochs()[-1].name)
        store.close()
    assert [epoch.name for epoch in opened(read_only=True).epochs()] == names[2:]


def test_a_path_that_is_a_folder(opened, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"folder.*cannot be opened"):
        opened("folder")


def test_a_file_of_another_kind(opened, tmp_path):
    (tmp_path / "notes.txt").write_text("precious notes, not a database\n" * 100)
    with pytest.raises(ConfigError, match=r"notes\.txt.*NOTADB"):
        opened("notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("precious")


def test_a_database_of_another_program(opened, tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    with pytest.raises(ConfigError, match="of another program"):
        opened("other.db")


def test_a_database_of_a_newer_version(opened, tmp_path):
    opened().close()
    connection = sqlite3.connect(tmp_path / "data/events.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="schema version 99"):
        opened()
    with pytest.raises(ConfigError, match="schema version 99"):
        opened(read_only=True)


def test_a_backup_is_one_whole_file(opened, tmp_path):
    store = opened()
    for batch in range(20):
        store.append([make_entry(f"{batch}-{n}", json=b'"' + b"x" * 2000 + b'"') for n in range(50)])
    store.backup(str(tmp_path / "copy.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data"]
    connection = sqlite3.connect(f"file:{tmp_path / 'copy.db'}?mode=ro", uri=True)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*), max(offset) FROM events").fetchall() == [(1000, 1000)]
    connection.close()


def test_a_backup_while_others_write(opened, tmp_path):
    store, writer = opened(), opened()
    done = threading.Event()
    count = 0

    def write():
        nonlocal count
        while not done.is_set():
            writer.append([make_entry(f"{count}-{n}") for n in range(20)])
            count += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            store.backup(str(tmp_path / f"copy{number}.db"))
    finally:
        done.set()
        thread.join()
    for number in range(5):
        copy = opened(f"copy{number}.db")
        offsets = [record.offset for record in read_all(copy)]
        assert offsets == list(range(1, copy.head() + 1))
        assert copy.head() % 20 == 0


def test_the_log_is_copied_back(opened):
    store = opened(durability="os")
    for batch in range(12):
        store.append([make_entry(f"{batch}-{n}", json=b'"' + b"x" * 10_000 + b'"') for n in range(50)])
    assert store.stats()["wal_bytes"] > 4 * 2**20
    store.trim()
    append(store, "the first after the log starts afresh")
    assert store.stats()["wal_bytes"] <= 2 * 2**20
    assert len(read_all(store)) == 601


def test_a_diary_of_another_history_is_not_believed(opened, tmp_path):
    for path in ("one.db", "two.db"):
        store = opened(path)
        append(store, "a")
        store.close()
    (tmp_path / "one.db.epochs").replace(tmp_path / "two.db.epochs")
    assert [epoch.first for epoch in opened("two.db").epochs()] == [1, 2]
