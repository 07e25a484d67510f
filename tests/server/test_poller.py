"""The real epoll and real sockets, under gevent's loop but without its patches."""

import contextlib
import socket

import gevent
import pytest
from runtime.hub_room import Room

from eventstream.server.poller import Poller


class Polled(Room):
    """A room whose sockets a real poller watches."""

    def __init__(self):
        super().__init__()
        self.poller = Poller()
        self.world.watch = self.poller.watch
        self.world.unwatch = self.poller.unwatch
        self.world.pause = lambda: gevent.sleep(0)
        self.greenlets = [gevent.spawn(self.poller.run, self.hub)]

    def until(self, condition):
        with gevent.Timeout(5):
            while not condition():
                self.turn()
                gevent.sleep(0.001)

    def close(self):
        super().close()
        gevent.killall(self.greenlets)
        self.poller._epoll.close()


@pytest.fixture
def room():
    room = Polled()
    yield room
    room.close()


def test_a_peer_that_leaves_is_seen_without_writing(room):
    peers = [room.subscribe() for _ in range(5)]
    peers[2].socket.close()
    peers[3].socket.shutdown(socket.SHUT_WR)
    room.until(lambda: len(room.hub.sinks) == 3)
    assert [peer.sink.closed for peer in peers] == [False, False, True, True, False]


def test_a_full_socket_reports_its_room(room):
    peer = room.subscribe(buffer=4096)
    offsets = room.append(300, size=500)
    room.until(lambda: peer.sink.blocked_at)
    room.until(lambda: peer.take() and not peer.sink.blocked_at and peer.raw.count(b"\nid: ") >= 300)
    assert peer.offsets() == offsets


def test_an_output_that_listens_is_fed_in_order_and_may_block(room):
    heard = []

    def slow(data):
        gevent.sleep(0.005)
        heard.append(data)

    peer = room.connect(received=slow)
    other = room.subscribe()
    for word in (b"one ", b"two ", b"three"):
        peer.socket.send(word)
        gevent.sleep(0.002)
    room.append()
    room.until(lambda: other.take().count(b"data:") == 2)
    room.until(lambda: b"".join(heard) == b"one two three")


def test_an_output_that_fails_loses_its_own_connection_only(room):
    def broken(data):
        raise ValueError("an output's own bug")

    peer, other = room.connect(received=broken), room.subscribe()
    peer.socket.send(b"x")
    room.until(lambda: peer.sink.closed)
    offsets = room.append()
    room.until(lambda: other.take().count(b"data:") == 2)
    assert other.offsets() == offsets
    assert b"eventstream_errors_total{" in room.metrics.render()


def test_a_peer_that_never_ceases_to_talk_keeps_nobody_waiting(room):
    talker, other = room.subscribe(), room.subscribe()
    talking = True

    def talk():
        while talking:
            with contextlib.suppress(BlockingIOError):
                talker.socket.send(b"x" * 65536)
            gevent.sleep(0)

    room.greenlets.append(gevent.spawn(talk))
    read, reads = room.hub.read, []

    def endless(sink):  # as quick as the loop: there is always more
        reads.append(sink)
        assert len(reads) < 100_000, "the loop never came round"
        return read(sink) or (sink is talker.sink and not sink.closed)

    room.hub.read = endless
    offsets = room.append(3)
    room.until(lambda: other.take().count(b"data:") == 4)
    assert other.offsets() == offsets
    talking = False
    room.hub.read = read
    room.hub.sinks.lose(talker.sink, "test")


def test_a_number_that_is_used_again_belongs_to_its_new_owner(room):
    first = room.subscribe()
    number = first.connection.fileno()
    first.socket.close()
    room.until(lambda: first.sink.closed)
    again = [room.subscribe() for _ in range(3)]
    assert number in [peer.connection.fileno() for peer in again] + [peer.socket.fileno() for peer in again]
    offsets = room.append()
    room.turn()
    assert all(peer.offsets() == offsets for peer in again)
