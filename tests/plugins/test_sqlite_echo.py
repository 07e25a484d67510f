"""What a process appends is given back to it, as it would be read and before anybody is told."""

import pytest
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append, read_all
from eventstream_plugins.sqlite import Sqlite

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture
def store(tmp_path):
    store = Sqlite.create({"path": "events.db"})
    store.open(PlainServices(tmp_path))
    yield store
    store.close()


def test_each_commit_comes_back_as_it_would_be_read(store):
    told = []
    store.echo(lambda after, reached, records: told.append((after, reached, records())))
    store.watch(told.append, lambda payload: None)
    append(store, "a", "b")
    store.append([make_entry("b"), make_entry("c", subject="s"), make_entry("h", deliver=False), make_entry("c")])
    a, b, c = read_all(store)
    assert told[:4] == [(0, 2, [a, b]), 2, (2, 4, [c]), 4]


def test_what_adds_nothing_comes_back_to_nobody(store):
    append(store, "a")
    told = []
    store.echo(lambda *run: told.append(run))
    append(store, "a")
    store.append([make_entry("a", fingerprint=b"other"), make_entry("new")])
    assert told == []
