"""Events that are in no store: at most once, under the present place, bounded."""

import pytest
from runtime.hub_room import Direct, Quota

from eventstream.components.store import Record
from eventstream.runtime import hub as hub_module


def passing(number, type="t"):
    return Record(0, type, "/s", None, b'{"id":"e%d","type":"%s"}' % (number, type.encode()), 0.0)


def ids(peer):
    return [data["id"] for kind, _, data in peer.frames() if kind == "event"]


def test_they_reach_everybody_once_under_the_present_place(room):
    peers = [
        room.subscribe(filter=room.types(*patterns)) for patterns in (["*"], ["t"], ["t*", "t"], ["t*", "t.*", "t"])
    ]
    other = room.subscribe(filter=room.types("u"))
    room.append(4)
    room.turn()
    room.hub.announce(passing(1))
    room.turn()
    for peer in peers:
        assert ids(peer) == ["1", "2", "3", "4", "e1"]
        assert peer.offsets() == [1, 2, 3, 4, 4]
    assert ids(other) == []
    assert room.metrics.ephemeral_lost == 0


def test_they_are_never_ahead_of_what_is_stored(room):
    peer = room.subscribe()
    offsets = room.append(3)
    room.hub.announce(passing(1))  # before the hub has read the three
    room.turn()
    assert ids(peer) == ["1", "2", "3", "e1"]
    assert peer.offsets() == [*offsets, offsets[-1]]


def test_one_who_is_behind_does_not_get_them_and_that_is_counted(make_room):
    room = make_room(tail_bytes=1000)
    room.append(1000)
    room.subscribe()
    behind = room.subscribe(after=0)
    full = room.subscribe(connection=lambda sock: Quota(sock, 1 << 20))
    full.connection.allowed = 5
    room.append()
    room.hub.pump()
    room.hub.announce(passing(1))
    room.hub.pump()
    assert room.metrics.ephemeral_lost == 2
    full.connection.allowed = 1 << 20
    room.settle()
    assert "e1" not in ids(behind) + ids(full)
    assert full.offsets() == [1001]


@pytest.mark.parametrize("kind", [Quota, Direct])
def test_one_that_fits_half_goes_whole_later(room, kind):
    peer = room.subscribe(connection=lambda sock: kind(sock, 1 << 20))
    peer.connection.allowed = 9
    room.hub.announce(passing(1))
    room.hub.announce(passing(2))
    room.turn()
    peer.connection.allowed = 1 << 20
    (offset,) = room.append()
    room.settle()
    assert ids(peer) == ["e1", "1"]
    assert peer.offsets() == [0, offset]
    assert room.metrics.ephemeral_lost == 1


def test_those_that_wait_are_bounded(room, monkeypatch):
    monkeypatch.setattr(hub_module, "ANNOUNCED", 50)
    peer = room.subscribe()
    for number in range(hub_module.ANNOUNCED + 5):
        room.hub.announce(passing(number))
    room.turn()
    assert len(ids(peer)) == hub_module.ANNOUNCED
    assert room.metrics.ephemeral_lost == 5


def test_others_run_between_many_sends(room):
    peers = [room.subscribe() for _ in range(3 * hub_module.SLICE + 2)]
    room.turn()
    before = room.world.pauses
    room.world.paused = peers[-1].subscription.cancel
    room.hub.announce(passing(1))
    room.turn()
    assert room.world.pauses - before >= 3
    assert ids(peers[0]) == ["e1"]
    assert ids(peers[-1]) == []
