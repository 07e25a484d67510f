"""What this process appends reaches the hub without a read, and never otherwise than as it would be read."""

import pytest
from runtime.hub_room import Echoing

from eventstream.components.store import Record
from eventstream.runtime import echo as echo_module
from eventstream.runtime import hub as hub_module
from eventstream.runtime.echo import Echo


def records(*offsets, size=1):
    return lambda: [Record(offset, "t", "/s", None, b"x" * size, 0.0) for offset in offsets]


def offsets_of(page):
    return [record.offset for record in page.records]


@pytest.fixture
def echoing(make_room):
    """A room, and the places from which its store was read."""
    room = make_room(store=Echoing)
    read, places = room.store.read, []
    room.store.read = lambda after, *rest, **more: places.append(after) or read(after, *rest, **more)
    return room, places


def test_runs_that_follow_are_one():
    echo = Echo()
    echo.add(4, 6, records(5, 6))
    echo.add(6, 9, records(8))  # 7 and 9 are not delivered
    page = echo.page(4, 10)
    assert offsets_of(page) == [5, 6, 8]
    assert (page.next, page.head, page.trimmed) == (9, 9, 0)
    assert echo.page(4, 10) is echo.page(9, 10) is None


def test_it_is_given_in_pages_and_from_any_place_within():
    echo = Echo()
    echo.add(0, 9, records(*range(1, 9)))
    page = echo.page(2, 3)
    assert offsets_of(page) == [3, 4, 5]
    assert (page.next, page.head) == (5, 9)
    assert echo.page(2, 3) is None  # forgotten
    assert offsets_of(echo.page(5, 3)) == [6, 7, 8]
    echo.add(9, 10, records(10))
    assert offsets_of(echo.page(9, 3)) == [10]


def test_one_that_does_not_follow_begins_anew():
    echo = Echo()
    echo.add(0, 1, records(1))
    echo.add(2, 3, records(3))
    assert echo.page(0, 10) is None
    assert echo.page(1, 10) is None
    assert offsets_of(echo.page(2, 10)) == [3]


def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(echo_module, "MAX_BYTES", 100)
    echo = Echo()
    echo.add(0, 2, records(1, 2, size=40))
    echo.add(2, 3, records(3, size=40))
    assert echo.page(0, 10) is None
    assert offsets_of(echo.page(2, 10)) == [3]
    echo.add(3, 4, records(4, size=101))
    assert echo.page(3, 10) is None
    echo.add(4, 5, records(5))
    assert offsets_of(echo.page(4, 10)) == [5]


def test_the_hub_reads_nothing_that_it_was_given(echoing):
    room, places = echoing
    peer = room.subscribe()
    places.clear()
    offsets = room.append(3) + room.append(2500)
    room.turn()
    assert places == []
    room.settle()
    assert peer.offsets() == offsets


def test_what_others_append_in_between_is_read(echoing):
    room, places = echoing
    peer = room.subscribe()
    offsets = []
    for own in (True, False, True, True, False):
        room.store.own = own
        offsets += room.append(2)
    places.clear()
    room.turn()
    assert places
    assert peer.offsets() == offsets


def test_the_hub_may_have_read_some_of_it_already(echoing, monkeypatch):
    room, _ = echoing
    monkeypatch.setattr(hub_module, "READ_LIMIT", 3)
    peer = room.subscribe()
    room.store.own = False
    offsets = room.append(2)
    room.store.own = True
    offsets += room.append(5)
    room.turn()
    offsets += room.append(1)
    room.turn()
    assert peer.offsets() == offsets


def test_with_nobody_there_nothing_is_kept(echoing):
    room, _ = echoing
    room.append(5)
    assert room.hub._echo.next == 0
    peer = room.subscribe(after=0)
    room.settle()
    assert peer.offsets() == [1, 2, 3, 4, 5]
