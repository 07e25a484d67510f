"""Subscribers that fall behind: healed from the tail and the store, told what is lost, and bounded."""

import pytest
from runtime.hub_room import Quota

from eventstream.components.store import Keep
from eventstream.runtime import replay, sink, sinks
from eventstream_plugins.sse import PLAIN

PLENTY = 1 << 30


def quota(allowed=PLENTY):
    return lambda sock: Quota(sock, allowed)


def trim(room):
    while room.store.trim():
        pass


# -- healing ---------------------------------------------------------------------------------------


def test_a_slow_one_heals_from_the_tail(room):
    slow, quick = room.subscribe(connection=quota(100)), room.subscribe()
    offsets = room.append(500)
    room.turn()
    assert quick.offsets() == offsets
    slow.connection.allowed = PLENTY
    room.settle()
    assert slow.offsets() == offsets
    assert room.metrics._events_replayed == 0


@pytest.mark.parametrize("pattern", ["t", "t*", "*"])
@pytest.mark.parametrize("missed", [1, replay.PAGE - 1, replay.PAGE, replay.PAGE + 1, 3 * replay.PAGE + 7])
def test_a_slow_one_heals_from_the_store(make_room, missed, pattern):
    room = make_room(tail_bytes=1000)
    room.append(11)
    slow = room.subscribe(connection=quota(), filter=room.types(pattern))
    slow.connection.allowed = 5
    offsets = room.append(missed) + room.append(100)
    room.turn()
    assert slow.sink.blocked_at
    slow.connection.allowed = PLENTY
    room.settle()
    assert slow.offsets() == offsets
    assert room.metrics._events_replayed >= missed - 2
    offsets += room.append(2)
    room.turn()
    assert slow.offsets() == offsets


@pytest.mark.parametrize("start", [0, 1, 511, 512, 513, 1300, 1999, 2000])
def test_a_replay_begins_anywhere(make_room, start):
    room = make_room(tail_bytes=1000)
    room.append(2000, size=300)  # more than a page in bytes
    for _ in range(2):  # the second from the pages kept for the first
        peer = room.subscribe(after=start)
        room.settle()
        assert peer.offsets() == list(range(start + 1, 2001))


def test_near_places_share_pages(make_room):
    room = make_room(tail_bytes=1000)
    room.append(2000, size=1000)  # about 250 to a page of 256 KiB
    reads = []
    room.store.read, read = lambda *place, **options: reads.append(place) or read(*place, **options), room.store.read
    peers = [room.subscribe(after=place) for place in range(20)]
    room.settle()
    assert all(peer.offsets() == list(range(place + 1, 2001)) for place, peer in enumerate(peers))
    pages = [place for place in reads if len(place) == 3]
    assert len(pages) < 20  # not 20 times eight


def test_a_kept_page_of_the_head_of_its_time_hides_nothing_new(make_room):
    room = make_room(tail_bytes=200)
    room.append(100)
    first = room.subscribe(after=3)
    room.settle()
    room.append(300)
    second = room.subscribe(after=50)
    third = room.subscribe(after=350)
    room.settle()
    assert first.offsets() == list(range(4, 401))
    assert second.offsets() == list(range(51, 401))
    assert third.offsets() == list(range(351, 401))


def test_a_replay_that_skips_much_tells_the_place(make_room):
    room = make_room(tail_bytes=1000)
    room.append(12_000)
    room.append(type="rare")
    peer = room.subscribe(after=0, filter=room.types("rare"))
    room.settle()
    assert peer.offsets() == [12_001]
    places = [offset for kind, offset, _ in peer.frames() if kind == "cursor"]
    assert places[0] == 0
    assert len(places) >= 2
    assert places == sorted(places)


def test_what_a_replay_skipped_at_its_end_is_told_by_the_heartbeat(make_room):
    room = make_room(tail_bytes=1000)
    room.append(500)
    peer = room.subscribe(after=10, filter=room.types("rare"), heartbeat=1.0)
    room.settle()
    for _ in range(2):
        room.world.clock += 1.0
        room.hub.pump()
    assert peer.frames()[-1] == ("cursor", 500, {})


def test_the_tail_moves_on_while_a_page_is_read(make_room):
    room = make_room(tail_bytes=2000)
    room.append(600)
    peer = room.subscribe(after=0)
    more = []

    def grow():
        more.extend(room.append(300))
        room.hub.pump()

    room.world.paused = grow  # inside the read of the first page
    room.settle()
    assert more
    assert peer.offsets() == list(range(1, 901))


def test_it_leaves_while_its_page_is_read(make_room):
    room = make_room(tail_bytes=100)
    room.append(600)
    peer = room.subscribe(after=0)
    room.world.paused = lambda: room.hub.sinks.lose(peer.sink, "left")
    room.settle()
    assert peer.offsets() == []


# -- gaps --------------------------------------------------------------------------------------------


def test_a_place_that_has_expired_is_one_gap_and_then_the_rest(make_room):
    room = make_room(keep=Keep(events=10))
    room.append(50)
    trim(room)
    peer = room.subscribe(after=20)
    room.settle()
    gap, cursor, *events = peer.frames()
    assert gap == (
        "gap", 40,
        {"requested": room.places.text(20), "resumed_from": room.places.text(40), "reason": "expired"},
    )  # fmt: skip
    assert cursor == ("cursor", 40, {})
    assert [offset for _, offset, _ in events] == list(range(41, 51))


@pytest.mark.parametrize(("start", "told"), [(39, True), (40, False), (41, False)])
def test_a_gap_is_exactly_what_was_trimmed(make_room, start, told):
    room = make_room(keep=Keep(events=10))
    room.append(50)
    trim(room)
    peer = room.subscribe(after=start)
    room.settle()
    assert ("gap" in peer.kinds()) == told
    assert peer.offsets() == list(range(max(start, 40) + 1, 51))


def test_retention_passes_one_that_is_still_replaying(make_room):
    room = make_room(tail_bytes=1000, keep=Keep(events=2000))
    room.append(1500)
    peer = room.subscribe(after=0, connection=quota(60_000))
    room.turn()
    assert peer.sink.blocked_at
    reached = peer.offsets_whole()
    room.append(3000)
    trim(room)
    peer.connection.allowed = PLENTY
    room.settle()
    (gap,) = [frame for frame in peer.frames() if frame[0] == "gap"]
    assert gap[1] == 2500
    assert gap[2]["reason"] == "expired"
    offsets = peer.offsets()
    assert offsets[: len(reached)] == reached
    kept = [offset for offset in offsets if offset <= 1500]
    assert kept == list(range(1, len(kept) + 1))
    assert gap[2]["requested"] == room.places.text(kept[-1])
    assert offsets[len(kept) :] == list(range(2501, 4501))


def test_retention_overtakes_one_that_was_live(make_room):
    room = make_room(tail_bytes=1000, keep=Keep(events=100))
    peer = room.subscribe(connection=quota())
    offsets = room.append(5)
    room.turn()
    peer.connection.allowed = 3
    offsets += room.append(1)
    room.turn()
    room.append(500)
    trim(room)
    room.turn()
    peer.connection.allowed = PLENTY
    room.settle()
    gaps = [frame for frame in peer.frames() if frame[0] == "gap"]
    assert gaps == [
        ("gap", 406, {"requested": room.places.text(6), "resumed_from": room.places.text(406), "reason": "overflow"})
    ]
    assert peer.offsets() == offsets + list(range(407, 507))


def test_retention_overtakes_the_hub_itself(make_room):
    room = make_room(keep=Keep(events=100))
    live, cut = room.subscribe(), room.subscribe(lag="disconnect")
    room.append(3)
    room.turn()
    room.append(1000)
    trim(room)
    room.settle()
    assert live.kinds() == ["cursor"] + 3 * ["event"] + ["gap"] + 100 * ["event"]
    assert live.frames()[4][2]["reason"] == "overflow"
    assert cut.kinds() == ["cursor"] + 3 * ["event"] + ["retry"]
    assert cut.closed


def test_a_place_of_another_history_is_a_gap_of_the_epoch(room):
    room.append(10)
    peer = room.connect()
    peer.sink.subscribe(room.types("*"), PLAIN, room.places.start("0000dead-4", lenient=True))
    ahead = room.subscribe(after=99)
    room.settle()
    assert peer.frames()[0] == (
        "gap", 0, {"requested": "0000dead-4", "resumed_from": room.places.text(0), "reason": "epoch"}
    )  # fmt: skip
    assert peer.offsets() == list(range(1, 11))
    assert ahead.frames()[0][2]["reason"] == "epoch"
    assert ahead.frames()[0][1] == 10
    assert ahead.offsets() == []


# -- policies and bounds ------------------------------------------------------------------------------


def test_who_asked_for_it_is_cut_instead_of_healed(make_room):
    room = make_room(tail_bytes=1000)
    peer = room.subscribe(lag="disconnect", connection=quota())
    peer.connection.allowed = 10
    room.append(100)
    room.turn()
    peer.connection.allowed = PLENTY
    room.settle()
    assert peer.closed
    assert peer.offsets() == [1]
    assert peer.kinds()[-1] == "retry"


def test_who_asked_for_it_may_still_start_far_back(make_room):
    room = make_room(tail_bytes=1000)
    offsets = room.append(1000)
    peer = room.subscribe(after=0, lag="disconnect", connection=quota())
    peer.connection.allowed = 500
    room.turn()
    peer.connection.allowed = PLENTY
    room.settle()
    assert not peer.closed
    assert peer.offsets() == offsets


def test_a_full_sink_that_takes_nothing_is_cut_in_the_end(make_room):
    room = make_room(stall=30.0)
    stuck = room.subscribe(connection=quota(), heartbeat=10.0)
    slow = room.subscribe(connection=quota(), heartbeat=10.0)
    room.turn()
    stuck.connection.allowed = slow.connection.allowed = 10
    room.append(1)
    for _ in range(8):
        room.world.clock += 10.0
        slow.connection.allowed += 10
        room.writable()
        room.turn()
    assert stuck.sink.closed
    assert not slow.sink.closed  # it takes a little now and then
    assert "stalled" in str(room.metrics._tallies)


def test_frames_of_the_output_are_bounded_for_each(room):
    peer = room.connect(connection=quota(0))
    frame = b"x" * 1000
    for _ in range(sink.QUEUE_BYTES // 1000 + 1):
        peer.sink.write(frame)
    assert not peer.sink.closed
    peer.sink.write(frame)
    assert peer.sink.closed
    assert room.hub.sinks._pinned == 0


def test_what_waits_is_bounded_for_all_and_the_oldest_goes(room, monkeypatch):
    monkeypatch.setattr(sinks, "PINNED_BYTES", 100_000)
    peers = [room.connect(connection=quota(0)) for _ in range(5)]
    for peer in peers:
        room.world.clock += 1
        peer.sink.write(b"x" * 10_000)  # kept as a rest
        peer.sink.write(b"y" * 8_000)  # queued
    assert [peer.sink.closed for peer in peers] == [False] * 5
    assert room.hub.sinks._pinned == 90_000
    peers[4].sink.write(b"z" * 20_000)
    assert [peer.sink.closed for peer in peers] == [True] + [False] * 4
    assert room.hub.sinks._pinned == 92_000


def test_what_was_written_counts_no_more(room):
    stuck = room.connect(connection=quota(0))
    stuck.sink.write(b"s" * 100)
    busy = room.connect(connection=quota(0))
    for _ in range(50):
        busy.sink.write(b"b" * 3000)
        busy.sink.write(b"c" * 10)
        for allowed in (1000, 1990, 15, PLENTY):
            busy.connection.allowed = allowed
            room.hub.writable(busy.sink)
        assert not busy.sink.blocked_at
        assert room.hub.sinks._pinned == 100
        busy.take()
        busy.connection.allowed = 0


def test_a_rest_keeps_alive_at_most_twice_its_bytes(room):
    peer = room.connect(connection=quota(1000))
    frame = b"x" * 100_000
    peer.sink.write(frame)
    assert peer.sink.rest.obj is frame  # shared
    peer.connection.allowed = 60_000
    room.writable()
    assert peer.sink.rest == b"x" * 39_000
    assert isinstance(peer.sink.rest, bytes)


def test_being_told_of_room_that_is_none_does_not_put_off_the_end(make_room):
    room = make_room(stall=30.0)
    peer = room.subscribe(connection=quota(10), heartbeat=10.0)
    for _ in range(5):
        room.world.clock += 10
        room.writable()
        room.hub.pump()
    assert peer.sink.closed


def test_the_tail_is_bounded_in_bytes(make_room):
    room = make_room(tail_bytes=10_000)
    peer = room.subscribe()
    for _ in range(50):
        room.append(20, size=100)
        room.turn()
        assert room.hub.tail.bytes <= 12_500
        peer.take()
    assert peer.offsets() == list(range(1, 1001))


def test_a_page_larger_than_the_tail_reaches_everybody(make_room):
    room = make_room(tail_bytes=5000)
    peer = room.subscribe()
    offsets = room.append(100, size=500)
    room.turn()
    assert peer.offsets() == offsets
    assert room.metrics._events_replayed == 0
