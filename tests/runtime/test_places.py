"""Cursors over restarts and restored copies, with the real store that has both."""

import pytest

from eventstream.components.store import Entry, Keep
from eventstream.errors import Reject
from eventstream.runtime.places import Places
from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite


@pytest.fixture
def opened(tmp_path):
    stores = []

    def open_(name="events.db", **keep):
        store = Sqlite.create({"path": str(tmp_path / name)})
        store.keep(Keep(**keep))
        store.open(PlainServices(tmp_path))
        stores.append(store)
        return store

    yield open_
    for store in stores:
        store.close()


def append(store, *ids):
    store.append([Entry(str(name), "/s", "t", None, b"", b"{}") for name in ids])


def told(start):
    return start.offset, start.gap and (start.gap.reason, start.gap.resumed_from)


def test_words_for_places(opened):
    store = opened()
    append(store, *range(5))
    places = Places(store)
    assert told(places.start(None)) == told(places.start("latest")) == (5, None)
    assert told(places.start("earliest")) == (0, None)
    assert told(places.start(places.text(3))) == (3, None)
    for text in ("", "nonsense", "a-01", "a--1", "a-99999999999999999999", "ä-1"):
        with pytest.raises(Reject) as refused:
            places.start(text)
        assert refused.value.status == 400
        assert told(places.start(text, lenient=True)) == (0, ("epoch", places.text(0)))
    assert len(places.start("x" * 5000, lenient=True).gap.requested) <= 128


def test_a_cursor_outlives_a_restart(opened):
    store = opened()
    append(store, *range(5))
    first = Places(store).text(5)
    store.close()
    store = opened()
    append(store, *range(5, 8))
    places = Places(store)
    assert told(places.start(first)) == (5, None)
    assert places.text(5) == first  # a place keeps the name of its own epoch
    assert places.text(8) != first.replace("-5", "-8")
    assert told(places.start(first.replace("-5", "-6"))) == (5, ("epoch", first))  # that epoch ended at 5


def test_a_restored_copy(opened, tmp_path):
    store = opened()
    append(store, *range(5))
    store.backup(str(tmp_path / "copy.db"))
    append(store, *range(5, 8))
    lost = Places(store).text(8)
    kept = Places(store).text(4)
    store.close()
    copy = opened("copy.db")
    places = Places(copy)
    assert told(places.start(kept)) == (4, None)
    assert told(places.start(lost)) == (5, ("epoch", places.text(5)))
    append(copy, *range(20, 30))
    assert told(places.start(lost)) == (5, ("epoch", places.text(5)))  # though 8 is a place of the new epoch too


def test_a_place_that_was_trimmed(opened):
    store = opened(events=3)
    append(store, *range(10))
    store.trim()
    places = Places(store)
    assert told(places.start("earliest")) == (7, None)
    assert told(places.start(places.text(7))) == (7, None)
    assert told(places.start(places.text(6))) == (7, ("expired", places.text(7)))
