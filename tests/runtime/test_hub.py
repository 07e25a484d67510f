from functools import partial

import pytest
from runtime.hub_room import Direct, Quota, Records

from eventstream.components.store import Entry, Keep
from eventstream.errors import FilterError, StoreBusy
from eventstream.events.filter import Filter
from eventstream.runtime import group as groups
from eventstream.runtime import hub as hub_module
from eventstream.server.connection import PlainConnection
from eventstream_plugins.memory import Memory
from eventstream_plugins.sse import NAMED, PLAIN


def frame_of(room, offset):
    (record,) = room.store.read(offset - 1, 1, hidden=True).records
    return PLAIN.event(record, room.places.text(offset))


def frames_of(room, offsets):
    return b"".join(frame_of(room, offset) for offset in offsets)


# -- live ------------------------------------------------------------------------------------------


def test_events_come_in_the_store_s_order_to_everybody(room):
    peers = [room.subscribe() for _ in range(3)]
    offsets = room.append(5)
    room.turn()
    offsets += room.append(2500)  # more than one page of the tail
    room.turn()
    for peer in peers:
        room.settle()
        assert peer.offsets() == offsets
        assert peer.frames()[0] == ("cursor", 0, {})


def test_what_came_together_goes_in_one_send(room):
    peer = room.subscribe(connection=lambda sock: Quota(sock, 1 << 20))
    room.turn()
    before = peer.connection.sends
    room.append(50)
    room.append(50)
    room.turn()
    assert peer.connection.sends == before + 1
    assert len(peer.offsets()) == 100


def test_a_large_flush_goes_in_chunks_of_whole_frames(room):
    peer = room.subscribe(connection=lambda sock: Quota(sock, 1 << 20))
    before = peer.connection.sends
    offsets = room.append(9, size=20_000)
    room.turn()
    assert peer.connection.sends == before + 3  # three frames of 20 kB fit into 64 KiB
    assert peer.offsets() == offsets


def test_events_that_are_not_delivered_are_stepped_over(room):
    peer = room.subscribe()
    room.append(3, deliver=False)
    (offset,) = room.append(1)
    room.turn()
    assert peer.offsets() == [offset]


def test_each_gets_what_its_filter_matches_once(room):
    wanted = {
        ("a.x",): "a.x",
        ("a.*",): "a.x a.y",
        ("a.*", "a.x"): "a.x a.y",  # matched twice, sent once
        ("a.*", "a.x*", "b"): "a.x a.y b",
        ("*",): "a.x a.y b",
        ("c",): "",
    }
    peers = {patterns: room.subscribe(filter=room.types(*patterns)) for patterns in wanted}
    suffix = room.subscribe(filter=Filter({}, [{"suffix": {"type": "y"}}]))
    both = room.subscribe(filter=Filter({"type": ["a.*"], "subject": ["s1"]}))
    for type_ in ("a.x", "a.y", "b"):
        room.append(type=type_, subject="s1" if type_ != "a.y" else None)
    room.turn()
    for patterns, peer in peers.items():
        types = [data["type"] for kind, _, data in peer.frames() if kind == "event"]
        assert " ".join(types) == wanted[patterns], patterns
    assert suffix.offsets() == [2]
    assert both.offsets() == [1]


def test_a_publish_looks_only_at_the_groups_an_index_finds(room):
    looked = []

    class Counting(Filter):
        __slots__ = ()

        def matches(self, attributes):
            looked.append(self.key)
            return super().matches(attributes)

    for number in range(50):
        room.subscribe(filter=Counting({"type": [f"t{number}"]}))
        room.subscribe(filter=Counting({"subject": [f"s{number}.*"]}))
    room.append(type="t7", subject="s3.x")
    room.turn()
    assert len(looked) == 2


def test_events_alike_are_told_apart_by_a_filter_that_looks_deeper(room):
    wide = room.subscribe(filter=room.types("t"))
    deep = room.subscribe(filter=Filter({}, [{"exact": {"pad": "x"}}]))
    for number, pad in enumerate(["", "", "x", ""]):
        body = b'{"id":"%d","source":"/s","type":"t","pad":"%s"}' % (number, pad.encode())
        room.store.append([Entry(str(number), "/s", "t", None, b"", body)])
    room.turn()
    assert wide.offsets() == [1, 2, 3, 4]
    assert deep.offsets() == [3]
    deep.subscription.cancel()
    assert not room.hub.groups._deep


def test_filters_that_no_index_serves_are_bounded(room, monkeypatch):
    monkeypatch.setattr(groups, "MAX_UNINDEXED", 3)
    for number in range(3):
        room.subscribe(filter=Filter({}, [{"suffix": {"type": str(number)}}]))
    room.subscribe(filter=Filter({}, [{"suffix": {"type": "1"}}]))  # a known one costs nothing more
    room.subscribe()  # nor does everything
    with pytest.raises(FilterError, match="3 distinct"):
        room.subscribe(filter=Filter({}, [{"suffix": {"type": "x"}}]))
    room.subscribe(filter=room.types("x"))
    refused = room.peers[-2]
    assert refused.sink.subscribers == ()


def test_formats_do_not_share_bytes(room):
    plain, named = room.subscribe(), room.subscribe(format=NAMED)
    room.append()
    room.turn()
    assert plain.kinds() == ["cursor", "event"]
    assert named.kinds() == ["cursor", "t"]


def test_frames_of_formats_that_peers_choose_are_kept_within_the_bound(make_room):
    class Own(type(PLAIN)):
        def __init__(self, name):
            super().__init__()
            self.key = name

    room = make_room(tail_bytes=40_000)
    room.subscribe()
    room.append(30, size=1000)
    room.turn()
    for number in range(50):
        room.subscribe(after=0, format=Own(f"own-{number}"))
        room.turn()
    assert room.hub.tail.bytes <= 50_000
    assert all(len(peer.offsets()) == 30 for peer in room.peers)


# -- who comes and goes while the hub works ------------------------------------------------------------


def test_who_subscribes_during_a_flush_gets_nothing_from_before_its_place(room):
    crowd = [room.subscribe(filter=room.types("a")) for _ in range(hub_module.SLICE + 1)]
    room.subscribe(filter=room.types("b"))
    room.append(type="a")
    (head,) = room.append(type="b")
    late = []
    room.world.paused = lambda: late.append(room.subscribe(after=head, filter=room.types("b")))
    room.turn()
    assert late[0].offsets() == []
    later = room.append(type="b")
    room.turn()
    assert late[0].offsets() == later
    assert all(peer.offsets() == [1] for peer in crowd)


def test_a_flush_of_many_small_groups_pauses_too(room):
    for number in range(2 * hub_module.SLICE):
        room.subscribe(filter=room.types(f"t{number}"))
    for number in range(2 * hub_module.SLICE):
        room.append(type=f"t{number}")
    before = room.world.pauses
    room.turn()
    assert room.world.pauses - before >= 2


def test_the_last_leaves_and_another_comes_while_the_store_is_read(room):
    first = room.subscribe()
    room.append(200)
    late = []

    def change():
        room.hub.sinks.lose(first.sink, "left")
        room.append(50)
        late.append(room.subscribe(after=230))

    room.world.paused = change  # the memory store pauses after each 128 events of a page
    room.turn()
    assert late[0].offsets() == list(range(231, 251))


def test_who_cancels_during_a_flush_gets_no_more(room):
    crowd = [room.subscribe() for _ in range(hub_module.SLICE + 5)]
    room.append()
    room.world.paused = lambda: [peer.subscription.cancel() for peer in crowd]
    room.turn()
    assert sum(peer.offsets() == [1] for peer in crowd) == hub_module.SLICE
    assert not room.hub.groups
    assert all(not peer.sink.closed for peer in crowd)


def test_a_descriptor_that_is_used_again_during_a_flush_gets_nothing_of_it(room):
    crowd = [room.subscribe() for _ in range(hub_module.SLICE + 5)]
    number = crowd[-1].connection.fileno()
    late = []

    def change():
        crowd[-1].socket.close()
        room.hub.sinks.lose(crowd[-1].sink, "left")
        late.append(room.connect())

    room.append()
    room.world.paused = change
    room.turn()
    assert late[0].connection.fileno() == number
    assert late[0].take() == b""
    assert all(peer.offsets() == [1] for peer in crowd[:-1])


def test_a_broken_one_among_many_is_lost_and_the_others_get_everything(room):
    lost = []
    crowd = [room.subscribe(closed=lambda: lost.append(1)) for _ in range(5)]
    crowd[2].socket.close()
    offsets = room.append(3)
    room.turn()
    assert lost == [1]
    assert crowd[2].sink.closed
    assert "reset" in str(room.metrics._tallies)
    room.peers.remove(crowd[2])
    for peer in crowd[:2] + crowd[3:]:
        assert peer.offsets() == offsets


def test_what_an_output_writes_when_one_is_lost_cuts_no_frame_in_two(room):
    """The others of the same call have been sent theirs by then, some of them only in part."""
    crowd = []

    def tell():
        for peer in crowd:
            peer.sink.write(PLAIN.retry(7))

    plenty = partial(Direct, allowed=1 << 20)
    crowd += [room.subscribe(connection=kind, closed=tell) for kind in (plenty, PlainConnection, plenty, plenty)]
    crowd[1].socket.close()
    crowd[0].connection.allowed = crowd[3].connection.allowed = 20
    offsets = room.append(3)
    room.turn()
    room.peers.remove(crowd.pop(1))
    for peer in crowd:
        peer.connection.allowed = 1 << 20
    offsets += room.append(2)
    room.settle()
    for peer in crowd:
        assert peer.offsets() == offsets
        assert peer.raw.count(b"\nretry: 7000\n") == 1


def test_bytes_that_went_are_counted(room):
    whole, cut = (room.subscribe(connection=lambda sock: Direct(sock, 1 << 20)) for _ in range(2))
    cut.connection.allowed = 11
    before = room.metrics.bytes_out
    (offset,) = room.append()
    room.turn()
    assert room.metrics.bytes_out - before == len(frame_of(room, offset)) + 11
    assert whole.offsets() == [offset]


def test_with_nobody_there_the_first_to_come_starts_at_its_place(room):
    room.append(10)
    peer = room.subscribe()
    room.append(1)
    room.turn()
    assert peer.offsets() == [11]


def test_the_first_to_come_from_far_behind_keeps_nobody_waiting(room):
    room.append(3000)
    behind = room.subscribe(after="earliest")
    latest = room.subscribe()
    room.append(1)
    room.hub.pump()  # without a word from the replay
    assert latest.offsets() == [3001]
    room.settle()
    assert behind.offsets() == list(range(1, 3002))


def test_a_place_the_tail_has_not_reached_waits_for_it(room):
    room.subscribe()
    room.append(5)
    ahead = room.subscribe(after=3)  # the hub has not read yet
    room.turn()
    assert ahead.offsets() == [4, 5]
    assert ahead.frames()[0] == ("cursor", 3, {})


def test_a_failure_in_a_format_costs_nobody_else_an_event(room):
    class Broken(type(PLAIN)):
        def __init__(self):
            super().__init__()
            self.key = "broken"

        def event(self, record, cursor):
            raise RuntimeError("a format's own bug")

    broken = room.subscribe(filter=room.types("t*"), format=Broken())
    well = [room.subscribe(filter=room.types(*patterns)) for patterns in (["t"], ["t", "u"], ["*"])]
    offsets = room.append(3)
    with pytest.raises(RuntimeError):
        room.turn()
    room.turn()
    offsets += room.append(2)
    room.turn()
    assert broken.sink.closed
    for peer in well:
        assert peer.offsets() == offsets


# -- short writes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Quota, Direct, Records])
def test_a_short_write_at_any_byte_loses_and_repeats_nothing(make_room, kind):
    room = make_room()
    room.append(6)
    size = len(PLAIN.cursor(room.places.text(0))) + len(frames_of(room, range(1, 7)))
    for cut in range(size + 1):
        peer = room.subscribe(after=0, connection=lambda sock, cut=cut: kind(sock, cut))
        room.turn()
        if cut < size:
            assert peer.sink.blocked_at
        assert len(peer.take()) <= cut
        peer.connection.allowed = 1 << 20
        room.hub.writable(peer.sink)
        room.turn()
        assert peer.take() == PLAIN.cursor(room.places.text(0)) + frames_of(room, range(1, 7)), cut
        room.hub.sinks.lose(peer.sink, "test")
        peer.socket.close()
    room.peers.clear()


@pytest.mark.parametrize("kind", [Quota, Direct, Records])
def test_a_live_short_write_at_any_byte_loses_and_repeats_nothing(make_room, kind):
    room = make_room()
    for cut in range(0, 700, 7):
        peer = room.subscribe(connection=lambda sock: kind(sock, 1 << 20))
        opening = peer.take()
        peer.connection.allowed = cut
        offsets = room.append(6)
        room.turn()
        live = frames_of(room, offsets)
        peer.connection.allowed = 100  # and a second cut, in the rest
        room.hub.writable(peer.sink)
        offsets += room.append(2)
        room.turn()
        peer.connection.allowed = 1 << 20
        room.hub.writable(peer.sink)
        room.turn()
        assert peer.take() == opening + live + frames_of(room, offsets[6:]), cut
        room.hub.sinks.lose(peer.sink, "test")
        peer.socket.close()
    room.peers.clear()


@pytest.mark.parametrize("kind", [Quota, Direct])
def test_after_a_short_write_the_place_is_that_of_the_frame_being_sent(room, kind):
    peer = room.subscribe(connection=lambda sock: kind(sock, 1 << 20))
    offsets = room.append(3)
    peer.connection.allowed = len(frame_of(room, 1)) + 5
    room.turn()
    (subscriber,) = peer.sink.subscribers
    assert subscriber.place == offsets[1]
    assert bytes(peer.sink.rest) == frame_of(room, 2)[5:]
    assert subscriber not in subscriber.group.live


def test_a_full_kernel_buffer_is_only_a_delay(room):
    peer = room.subscribe(buffer=4096)
    offsets = []
    for size in (10, 3000, 70_000, 200, 0, 150_000):
        offsets += room.append(7, size=size)
        room.turn()
    assert peer.sink.blocked_at
    while peer.sink.blocked_at:
        peer.take(997)
        room.hub.writable(peer.sink)
        room.turn()
    assert peer.offsets() == offsets
    assert room.metrics.fell_behind >= 1


def test_a_quiet_subscriber_that_is_full_for_a_moment_has_lost_nothing(make_room):
    room = make_room(tail_bytes=2000, keep=Keep(events=10))
    quiet = room.subscribe(filter=room.types("rare"), lag="disconnect", connection=lambda sock: Quota(sock, 1 << 20))
    room.subscribe()
    for _ in range(5):
        room.append(50)
        room.turn()
        while room.store.trim():
            pass
        for peer in room.peers:
            peer.take()
    quiet.connection.allowed = 3
    quiet.sink.write(PLAIN.goodbye(1.0))
    assert quiet.sink.blocked_at
    quiet.connection.allowed = 1 << 20
    room.hub.writable(quiet.sink)
    room.append(type="rare")
    room.settle()
    assert not quiet.sink.closed
    assert "gap" not in quiet.kinds()
    assert quiet.offsets() == [251]


# -- several subscriptions on one sink ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Quota, Direct])
def test_two_subscriptions_share_a_sink_that_is_full(room, kind):
    peer = room.connect(connection=lambda sock: kind(sock, 1 << 20))
    a = peer.sink.subscribe(room.types("a"), PLAIN, room.places.start(None))
    peer.sink.subscribe(room.types("b"), PLAIN, room.places.start(None))
    peer.connection.allowed = 10
    for _ in range(4):
        room.append(type="a")
        room.append(type="b")
    room.turn()
    room.append(type="a")
    assert peer.sink.blocked_at
    assert not any(subscriber.group.live for subscriber in peer.sink.subscribers)
    peer.connection.allowed = 1 << 20
    room.settle()
    events = [(data["type"], offset) for kind, offset, data in peer.frames() if kind == "event"]
    assert [offset for kind, offset in events if kind == "a"] == [1, 3, 5, 7, 9]
    assert [offset for kind, offset in events if kind == "b"] == [2, 4, 6, 8]
    a.cancel()
    room.append(type="a")
    room.append(type="b")
    room.turn()
    assert peer.offsets()[-1] == 11


def test_frames_of_the_output_wait_behind_the_one_that_is_stuck(room):
    peer = room.connect(connection=lambda sock: Quota(sock, 5))
    frames = [PLAIN.cursor(f"e-{number}") for number in range(5)]
    for frame in frames:
        peer.sink.write(frame)
    peer.connection.allowed = 40
    room.writable()
    peer.connection.allowed = 1 << 20
    room.writable()
    assert peer.take() == b"".join(frames)


def test_a_subscription_can_be_cancelled_while_its_frame_is_half_sent(room):
    peer = room.subscribe(connection=lambda sock: Quota(sock, 1 << 20))
    peer.connection.allowed = 20
    room.append(3)
    room.turn()
    peer.subscription.cancel()
    peer.connection.allowed = 1 << 20
    room.settle()
    assert peer.offsets() == [1]  # whole, then nothing


def test_who_subscribes_on_a_sink_that_left_gets_nothing(room):
    peer = room.connect()
    room.hub.sinks.lose(peer.sink, "left")
    peer.sink.subscribe(room.types("a"), PLAIN, room.places.start(None))
    assert not room.hub.groups


# -- trouble with the store ------------------------------------------------------------------------------------


class Unsteady(Memory):
    """A memory store whose reads can be made to fail."""

    name = "unsteady"
    failing = False

    def read(self, after, limit, filter=None, *, hidden=False):
        if self.failing:
            raise StoreBusy("unreadable for now")
        return super().read(after, limit, filter, hidden=hidden)


def test_while_the_store_cannot_be_read_there_are_heartbeats_and_a_drain(make_room):
    room = make_room(store=Unsteady)
    peer = room.subscribe(heartbeat=1.0)
    room.append(3)
    room.store.failing = True
    for _ in range(3):
        room.world.clock += 1.0
        with pytest.raises(StoreBusy):
            room.hub.pump()
    assert peer.take().count(b":\n") == 2
    room.store.failing = False
    room.turn()
    assert peer.offsets() == [1, 2, 3]
    room.store.failing = True
    room.hub.drain(lambda: 2.0)
    with pytest.raises(StoreBusy):
        room.hub.pump()
    assert peer.kinds()[-1] == "retry"
    assert not room.hub.sinks


def test_the_same_subscription_twice_on_a_sink_that_is_full(room):
    peer = room.connect(connection=lambda sock: Direct(sock, 1 << 20))
    for _ in range(2):
        peer.sink.subscribe(room.types("*"), PLAIN, room.places.start(None))
    peer.connection.allowed = 10
    offsets = room.append(3)
    room.turn()
    peer.connection.allowed = 1 << 20
    room.settle()
    assert sorted(peer.offsets()) == sorted(2 * offsets)
