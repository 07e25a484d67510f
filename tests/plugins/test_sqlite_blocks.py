"""Notes about blocks: a filter finds the same with them as without, and soon."""

import contextlib
import random
import sqlite3

import pytest
import sqlite_versions

from eventstream import Filter, Keep, Size, parse_filter
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite, blocks

MANY = 70_000  # more than an era


def entries(first, last):
    """Events of few types, of sources that change now and then, of subjects that are hardly ever the same."""
    chance = random.Random(first)
    for number in range(first, last + 1):
        rare = number % 7000 == 3500
        yield make_entry(
            str(number),
            type="often" if number % 3 else "seldom." + "x" * 80 + str(number // 20_000),
            source=f"/{number // 9000}",
            subject="rare.one" if rare else None if number % 50 == 0 else f"s{chance.randrange(1_000_000)}",
            deliver=number % 10 != 9,
        )


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with contextlib.ExitStack() as stack:

        def open_(path=None, *, events=10**6, read_only=False):
            store = Sqlite.create(
                {"path": str(path or tmp_path_factory.mktemp("store") / "events.db"), "durability": "os"}
            )
            store.keep(Keep(events=events, size=Size(2**40)))
            store.read_only = read_only
            stack.callback(store.close)
            store.open(PlainServices())
            return store

        yield open_


@pytest.fixture(scope="module")
def long(opened):
    store = opened()
    for first in range(1, MANY, 2000):
        store.append(list(entries(first, first + 1999)))
    store.trim()
    store.trim()
    return store


def path_of(store):
    return store.config.path


def ask(store, sql):
    with contextlib.closing(sqlite3.connect(path_of(store))) as connection:
        return connection.execute(sql).fetchall()


def walk(store, wanted, after=0, limit=512, *, hidden=False):
    """Return all offsets that a filter finds, and the number of pages that it took."""
    found, pages = [], 0
    while True:
        page = store.read(after, limit, wanted, hidden=hidden)
        found += [record.offset for record in page.records]
        assert all(after < record.offset <= page.next for record in page.records)
        assert len(page.records) <= limit
        pages += 1
        after = page.next
        if after >= page.head:
            return found, pages


FILTERS = [
    {"subject": ["rare.one"]},
    {"subject": ["rare.*"]},
    {"subject": ["ra*", "s77777"]},
    {"subject": ["s1234*"], "type": ["often"]},
    {"subject": ["s*"]},
    {"subject": ["nobody", "nobody.*"]},
    {"source": ["/4"]},
    {"source": ["/4", "/6*"]},
    {"type": ["seldom." + "x" * 80 + "2"]},
    {"type": ["seldom." + "x" * 80 + "*"]},
    {"type": ["seldom." + "x" * 81 + "*"]},
    {"type": ["often"]},
    {"type": ["\U0010ffff*"]},
    {"filter": ['{"exact": {"subject": "rare.one"}}']},
    {"filter": ['{"prefix": {"subject": "rare."}}', '{"not": {"exact": {"id": "10500"}}}']},
    {"filter": ['{"suffix": {"subject": ".one"}}']},
]


@pytest.fixture(scope="module")
def everything():
    return [entry for first in range(1, MANY, 2000) for entry in entries(first, first + 1999)]


@pytest.mark.parametrize("words", FILTERS, ids=str)
@pytest.mark.parametrize(("after", "limit"), [(0, 512), (33_333, 70), (65_535, 300)])
def test_a_filter_finds_the_same_with_notes_as_without(long, everything, words, after, limit):
    wanted = parse_filter(words)
    expected = [
        offset
        for offset, entry in enumerate(everything, 1)
        if offset > after and entry.deliver and wanted.matches(_Attributes(entry))
    ]
    assert walk(long, wanted, after, limit)[0] == expected


class _Attributes:
    def __init__(self, entry):
        self._entry = entry

    def get(self, name):
        return getattr(self._entry, name, None)


@pytest.mark.parametrize("words", [{"subject": ["rare.one"]}, {"subject": ["rare.*"]}], ids=str)
def test_few_matches_take_few_pages(long, words):
    long.read(0, 1, Filter({"type": ["often"]}))  # learns that there are notes
    found, pages = walk(long, parse_filter(words), limit=10)
    assert len(found) == 10
    assert pages <= 3


def test_what_matches_much_is_read_in_order(long):
    page = long.read(0, 512, parse_filter({"type": ["often"]}))
    assert len(page.records) == 512
    assert page.next == page.records[-1].offset


def test_the_end_without_notes_is_short(long):
    ((head, indexed),) = ask(long, "SELECT head, indexed FROM meta")
    assert head - indexed < blocks.SLICE + blocks.BLOCK
    assert (indexed + 1) % blocks.BLOCK == 0


def test_hidden_events_are_found_by_who_may_see_them(long):
    wanted = parse_filter({"source": ["/4"]})
    assert len(walk(long, wanted, hidden=True)[0]) == 9000
    assert len(walk(long, wanted)[0]) == 8100


def test_notes_go_with_their_events(long, opened, tmp_path):
    long.backup(str(tmp_path / "copy.db"))
    store = opened(tmp_path / "copy.db", events=1000)
    while store.trim():
        pass
    store.trim()
    assert ask(store, "SELECT min(era), max(era) FROM blocks") == [(1, 1)]
    wanted = parse_filter({"subject": ["s*"]})
    trimmed = store.stats()["trimmed"]
    assert walk(store, wanted)[0] == [offset for offset in walk(long, wanted)[0] if offset > trimmed]


def test_nothing_is_noted_of_what_is_gone(opened):
    store = opened()
    for first in range(1, 10_000, 2000):
        store.append(list(entries(first, first + 1999)))
    with contextlib.closing(sqlite3.connect(path_of(store))) as connection, connection:
        connection.execute("DELETE FROM events WHERE offset <= 9000")
        connection.execute("UPDATE meta SET trimmed = 9000, events = 1000")
    store.append(list(entries(10_001, 12_000)))
    store.trim()
    assert ask(store, "SELECT min(block) >= 9000 / 64, indexed > 9000 FROM blocks, meta") == [(1, 1)]


def test_an_upgrade_takes_notes_behind_the_back_of_its_users(opened):
    store = opened()
    for first in range(1, 10_000, 2000):
        store.append(list(entries(first, first + 1999)))
    path = path_of(store)
    store.close()
    sqlite_versions.take_back(path, 2)
    wanted = parse_filter({"source": ["/1"]})
    reader = opened(path, read_only=True)
    expected = walk(reader, wanted)[0]
    store = opened(path)
    assert walk(store, wanted)[0] == expected
    assert ask(store, "SELECT indexed FROM meta") == [(0,)]
    store.trim()
    assert ask(store, "SELECT indexed > 7000 FROM meta") == [(1,)]
    assert [walk(one, wanted)[0] for one in (store, store, reader)] == [expected] * 3


def test_one_look_at_much_that_has_no_notes_is_bounded(opened, monkeypatch):
    monkeypatch.setattr(blocks, "SLICES", 2)
    store = opened()
    for first in range(1, 10_000, 2000):
        store.append(list(entries(first, first + 1999)))
    noted = []
    for _ in range(3):
        store.trim()
        noted += ask(store, "SELECT indexed FROM meta")[0]
    assert noted[0] <= 2 * blocks.SLICE < noted[1] < noted[1] + blocks.SLICE
    assert 10_000 - noted[2] < blocks.SLICE + blocks.BLOCK
