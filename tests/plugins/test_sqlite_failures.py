"""Trouble with the file: no false receipt, a reason, and recovery without opening again."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream import ConfigError, Receipt, StoreBusy
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append, read_all
from eventstream_plugins.sqlite import Sqlite, schema

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture
def store(path):
    store = Sqlite.create({"path": str(path)})
    store.open(PlainServices(path.parent))
    yield store
    store.close()


def test_locked_by_another_program(store, path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    append(store, "before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # The session that exists already waits its full time; it is thrown away, and the next one is quicker.
    for name in ("a", "b"):
        with pytest.raises(StoreBusy, match=r"events\.db.*cannot append.*locked.*end that program"):
            append(store, name)
    assert len(read_all(store)) == 1  # readers do not mind
    other.execute("ROLLBACK")
    other.close()
    assert append(store, "a") == [2]


def test_a_full_disk(store):
    append(store, "before")
    receipts = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(StoreBusy, match=r"events\.db.*cannot append"):
            append_until_refused(store, receipts)
        for _ in range(3):
            with pytest.raises(StoreBusy):
                store.append([make_entry("too large", json=b'"' + b"x" * 500_000 + b'"')])
            assert len(read_all(store)) == 1 + len(receipts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 10 < len(receipts) < 200
    assert append(store, "after") == [2 + len(receipts)]
    assert len(read_all(store)) == 2 + len(receipts)


def test_a_session_that_failed_is_not_used_again(store):
    append(store, "before")
    idle = store._parts._writer._commits._sessions._idle
    (first,) = idle
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(StoreBusy, match=r"cannot append: .*\(SQLITE_"):
            store.append([make_entry("too large", json=b'"' + b"x" * 500_000 + b'"')])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not idle
    assert append(store, "too large") == [2]
    assert idle[0] is not first


def test_a_file_that_has_gone_is_told_and_may_come_back(store, path):
    path.rename(path.with_name("away.db"))
    for _ in range(2):
        with pytest.raises(StoreBusy, match=r"events\.db: cannot append: unable to open .* \(SQLITE_CANTOPEN"):
            append(store, "a")
    path.with_name("away.db").rename(path)
    assert append(store, "a") == [1]


def append_until_refused(store, receipts):
    for number in range(1000):
        receipts += store.append([make_entry(str(number), json=b'"' + b"x" * 5000 + b'"')])


class Treacherous(sqlite3.Connection):
    """A connection whose commits fail while `failing` names an error, as they do when fsync fails."""

    failing = None
    made = 0

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Treacherous.made += 1

    def execute(self, sql, *values):
        if sql == "COMMIT" and Treacherous.failing:
            raise sqlite3.OperationalError(Treacherous.failing)
        return super().execute(sql, *values)


def test_a_commit_that_fails_is_not_acknowledged_and_its_connection_not_used_again(path, monkeypatch):
    monkeypatch.setenv("EVENTSTREAM_PURE", "1")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Treacherous, **options))
    store = Sqlite.create({"path": str(path)})
    store.open(PlainServices(path.parent))
    append(store, "before")
    made = Treacherous.made
    append(store, "before too")
    assert Treacherous.made == made
    monkeypatch.setattr(Treacherous, "failing", "disk I/O error")
    with pytest.raises(StoreBusy, match="disk I/O error"):
        append(store, "a")
    assert len(read_all(store)) == 2
    monkeypatch.setattr(Treacherous, "failing", None)
    made = Treacherous.made
    (receipt,) = store.append([make_entry("a")])
    assert isinstance(receipt, Receipt)
    assert not receipt.duplicate
    assert receipt.cursor.offset == 3
    assert Treacherous.made == made + 1
    store.close()


def test_reading_trouble_is_told(store, monkeypatch):
    append(store, "a")
    read_all(store)

    def refuse(*arguments, **options):
        raise sqlite3.OperationalError("unable to open database file")

    store._parts.reader._idle.clear()
    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(StoreBusy, match=r"events\.db.*cannot read"):
        store.read(0, 10)
    monkeypatch.undo()
    assert len(read_all(store)) == 1


OPEN_AS_NOBODY = """
import json, os, sys
from eventstream import ConfigError, StoreBusy
from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
store = Sqlite.create({"path": sys.argv[1]})
try:
    store.open(PlainServices("."))
except (ConfigError, StoreBusy) as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_store_that_may_not_be_written(what):
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        folder.chmod(0o755)
        path = folder / "events.db"
        if what == "file":
            path.touch()
            path.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", OPEN_AS_NOBODY, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        shutil.rmtree(folder)
    kind, text = json.loads(done.stdout)
    assert kind == "ConfigError"
    assert str(path) in text
    assert "this user may write" in text


def test_a_damaged_file_is_told(store, path):
    store.append([make_entry(str(n), json=b'"' + b"x" * 3000 + b'"') for n in range(200)])
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(40 * 4096))
    damaged = Sqlite.create({"path": str(path)})
    with pytest.raises((ConfigError, StoreBusy), match=r"events\.db.*(CORRUPT|NOTADB)"):
        open_and_read(damaged, path.parent)
    damaged.close()


def open_and_read(store, folder):
    store.open(PlainServices(folder))
    read_all(store)
