"""Heartbeats, the drain, and that nothing of anybody stays behind."""

import pytest
from runtime.hub_room import Quota

from eventstream.events.filter import Filter
from eventstream.runtime import hub as hub_module
from eventstream_plugins.sse import PLAIN

IDLE = b":\n"
PLENTY = 1 << 30


def beats(room, seconds, step=1.0):
    for _ in range(int(seconds / step)):
        room.world.clock += step
        room.hub.pump()


def test_a_heartbeat_is_a_comment_while_nothing_moves(room):
    peer = room.subscribe(heartbeat=5.0)
    opening = peer.take()
    beats(room, 20.0)
    assert peer.take() in [opening + count * IDLE for count in (3, 4)]


def test_a_heartbeat_tells_the_place_once_it_has_moved(room):
    peer = room.subscribe(heartbeat=5.0, filter=room.types("rare"))
    room.append(7)
    beats(room, 12.0)
    assert peer.frames() == [("cursor", 0, {}), ("cursor", 7, {})]
    room.append(type="rare")
    room.append()
    beats(room, 12.0)
    assert peer.frames()[2:] == [("event", 8, peer.frames()[2][2]), ("cursor", 9, {})]


def test_an_event_tells_its_place_by_itself(room):
    peer = room.subscribe(heartbeat=1.0)
    room.append(3)
    beats(room, 3.0)
    assert peer.kinds() == ["cursor"] + 3 * ["event"]
    assert peer.raw.endswith(IDLE)


def test_no_heartbeat_comes_between_the_halves_of_a_frame(room):
    peer = room.subscribe(heartbeat=1.0, connection=lambda sock: Quota(sock, PLENTY))
    peer.connection.allowed = 20
    offsets = room.append(2)
    room.turn()
    beats(room, 5.0)
    assert IDLE not in peer.take()[-20:]
    peer.connection.allowed = PLENTY
    room.settle()
    assert peer.offsets() == offsets


def test_one_that_catches_up_is_kept_alive_between_its_chunks(make_room):
    room = make_room(tail_bytes=1000)
    room.append(700)
    peer = room.subscribe(after=0, heartbeat=1.0)
    beats(room, 2.0)  # the replay has not come round yet
    assert IDLE in peer.take()
    room.settle()
    assert peer.offsets() == list(range(1, 701))


def test_heartbeats_are_spread_over_the_interval(room):
    peers = [room.subscribe(heartbeat=10.0) for _ in range(100)]
    room.hub.pump()
    for peer in peers:
        peer.take()
    told = []
    for _ in range(20):
        before = sum(peer.raw.count(IDLE) for peer in peers)
        beats(room, 1.0)
        told.append(sum(peer.take().count(IDLE) for peer in peers) - before)
    assert max(told) == 10
    assert sum(told) in (190, 200)


def test_a_new_interval_may_begin_during_a_beat(room):
    for _ in range(hub_module.SENDS_BETWEEN_PAUSES + 2):
        room.subscribe(heartbeat=1.0)
    room.hub.pump()
    room.world.paused = lambda: room.subscribe(heartbeat=7.0)
    beats(room, 3.0)
    assert room.world.paused is None


def test_after_a_long_sleep_each_is_told_once(room):
    peer = room.subscribe(heartbeat=5.0)
    room.hub.pump()
    room.world.clock += 3600
    room.hub.pump()
    assert peer.take().count(IDLE) <= 2


# -- the drain --------------------------------------------------------------------------------------------


def drain(room):
    waits = iter(range(1, 10_000))
    room.hub.drain(lambda: next(waits))


def test_a_drain_tells_place_and_retry_and_closes(room):
    moved, still = room.subscribe(filter=room.types("rare")), room.subscribe()
    room.append(4)
    room.turn()
    drain(room)
    assert room.hub.full
    room.turn()
    assert moved.kinds() == ["cursor", "cursor", "retry"]
    assert moved.frames()[1][1] == 4
    assert still.kinds() == ["cursor"] + 4 * ["event"] + ["retry"]
    assert sorted(peer.frames()[-1][1] for peer in (moved, still)) == [1000, 2000]  # each its own
    assert moved.closed
    assert still.closed


def test_a_drain_goes_in_slices(room):
    for _ in range(300):
        room.subscribe()
    drain(room)
    room.hub.pump()
    assert len(room.hub.sinks) == 300 - hub_module.SENDS_BETWEEN_PAUSES
    while room.hub.sinks:
        room.hub.pump()


def test_a_drain_gives_a_full_one_five_seconds(room):
    read, unread = (room.subscribe(connection=lambda sock: Quota(sock, PLENTY)) for _ in range(2))
    for peer in (read, unread):
        peer.connection.allowed = 10
    room.append()
    room.turn()
    drain(room)
    room.turn()
    room.world.clock += 4.9
    room.turn()
    assert not read.closed
    read.connection.allowed = PLENTY
    room.hub.writable(read.sink)
    assert read.kinds() == ["cursor", "event", "retry"]
    assert read.closed
    room.world.clock += 0.2
    room.turn()
    assert unread.sink.closed


def test_one_whose_request_was_under_way_is_drained_too(room):
    drain(room)
    room.turn()
    late = room.subscribe()
    room.turn()
    assert late.kinds() == ["cursor", "retry"]
    assert late.closed


def test_a_drain_does_not_wait_for_the_publishers_to_pause(room):
    peer = room.subscribe()
    drain(room)
    read = room.store.read

    def growing(*place):
        page = read(*place)
        room.append(3)
        return page

    room.store.read = growing  # the store is never read to its end
    room.append()
    room.hub.pump()
    assert peer.closed or peer.take()
    assert not room.hub.sinks


# -- nothing stays --------------------------------------------------------------------------------------------


def test_a_peer_that_leaves_is_seen_at_once(room):
    peer = room.subscribe()
    peer.socket.close()
    assert room.hub.read(peer.sink) is False
    assert peer.sink.closed
    room.check_empty()


def test_a_peer_that_is_gone_is_found_by_writing(room):
    told = []
    peer = room.subscribe(closed=lambda: told.append(True))
    peer.socket.close()
    room.append()
    room.turn()
    assert peer.sink.closed
    assert told == [True]
    room.check_empty()


def test_what_a_peer_sends_goes_to_the_output(room):
    heard = []
    peer = room.subscribe(received=heard.append)
    peer.socket.send(b"hello")
    assert room.hub.read(peer.sink)
    assert not room.hub.read(peer.sink)
    assert heard == [b"hello"]


FILTERS = [
    lambda n: Filter(),
    lambda n: Filter({"type": [f"a{n}", f"b{n}*"]}),
    lambda n: Filter({"subject": [f"s{n}*"], "source": ["x"]}),
    lambda n: Filter({}, [{"prefix": {"type": f"p{n}"}}]),
    lambda n: Filter({}, [{"suffix": {"type": f"q{n}"}}]),
]


@pytest.mark.parametrize("state", ["live", "full", "behind", "ahead"])
def test_when_all_have_left_nothing_of_them_is_kept(make_room, state):
    room = make_room(tail_bytes=1000)
    room.append(1000)
    anchor = room.subscribe(filter=room.types("none"))
    if state == "ahead":
        room.append(10)
    place = {"behind": 5, "ahead": 1010}.get(state)
    for number in range(30):
        make = FILTERS[number % len(FILTERS)]
        allowed = 7 if state == "full" else PLENTY
        room.subscribe(after=place, filter=make(number), connection=lambda sock, allowed=allowed: Quota(sock, allowed))
    assert len(room.hub.sinks) == 31
    if state == "full":
        assert room.hub.sinks.blocked == 30
    for peer in room.peers:
        peer.socket.close()
        room.hub.read(peer.sink)
    assert anchor.sink.closed
    room.turn()
    room.hub.catch_up.tail_moved()
    room.turn()
    room.check_empty()


def test_the_door_is_shut_when_the_room_is_full(make_room):
    room = make_room(capacity=2)
    room.subscribe()
    assert not room.hub.full
    peer = room.subscribe()
    assert room.hub.full
    room.hub.sinks.lose(peer.sink, "left")
    assert not room.hub.full


def test_an_end_is_written_behind_what_waits(room):
    peer = room.connect(connection=lambda sock: Quota(sock, 3))
    peer.sink.write(PLAIN.cursor("e-1"))
    peer.sink.end(PLAIN.goodbye(1.0))
    peer.sink.write(b"nothing more")
    peer.connection.allowed = PLENTY
    room.hub.writable(peer.sink)
    assert peer.take() == PLAIN.cursor("e-1") + PLAIN.goodbye(1.0)
    assert peer.closed
