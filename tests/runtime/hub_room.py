"""A hub turned by hand: a real memory store, real sockets, and a clock that the test moves."""

import json
import socket
from array import array
from dataclasses import dataclass
from typing import ClassVar

from eventstream.components.store import Entry, Keep
from eventstream.events.filter import EVERYTHING, Filter
from eventstream.runtime.hub import Hub
from eventstream.runtime.places import Places
from eventstream.runtime.replay import Replay
from eventstream.runtime.send import send_each
from eventstream.server.connection import PlainConnection
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.memory import Memory
from eventstream_plugins.sse import PLAIN


class World:
    """What a node needs of its platform. `paused` runs wherever the runtime lets others run."""

    def __init__(self):
        self.clock = 1000.0
        self.watched = set()
        self.pauses = 0
        self.paused = None

    def offload(self, call):
        return call()

    def pause(self):
        self.pauses += 1
        if self.paused is not None:
            todo, self.paused = self.paused, None
            todo()

    def now(self):
        return self.clock

    def monotonic(self):
        return self.clock

    def watch(self, sink):
        assert sink.connection.fileno() >= 0
        self.watched.add(sink)

    def unwatch(self, sink):
        assert sink.connection.fileno() >= 0, "it is taken off the poll before it is closed"
        self.watched.discard(sink)


class Quota:
    """A connection that takes only as many bytes as it is allowed: a short write wherever a test wants one."""

    committed = 0
    direct = -1

    def __init__(self, sock, allowed):
        self._plain = PlainConnection(sock)
        self.allowed = allowed
        self.sends = 0
        self.fileno, self.recv, self.close = self._plain.fileno, self._plain.recv, self._plain.close

    def send(self, data):
        self.sends += 1
        taken = self._plain.send(bytes(data[: self.allowed])) if self.allowed else 0
        self.allowed -= taken
        return taken


class Direct(Quota):
    """A quota whose bytes may be written to its descriptor, as long as that is done by `send_each` below."""

    _all: ClassVar = {}

    def __init__(self, sock, allowed):
        super().__init__(sock, allowed)
        self.direct = self.fileno()
        self._all[self.direct] = self

    @classmethod
    def send_each(cls, fds, data):
        """Do what `eventstream.runtime.send.send_each` does, within the quotas."""
        short = []
        for index, fd in enumerate(fds):
            quota = cls._all.get(fd)
            if quota is None or quota.fileno() != fd:
                short += [(index, sent) for _, sent in send_each(array("i", [fd]), data)]
            elif (sent := quota.send(data)) < len(data):
                short.append((index, sent))
        return short


class Records:
    """Like TLS: a write that could not finish has sealed a record, which must come again, unchanged, first."""

    def __init__(self, sock, allowed, record=64):
        self._quota = Quota(sock, allowed)
        self.direct = -1
        self._record = record
        self._sealed = b""
        self.fileno, self.recv, self.close = self._quota.fileno, self._quota.recv, self._quota.close

    @property
    def committed(self):
        return len(self._sealed)

    @property
    def allowed(self):
        return self._quota.allowed

    @allowed.setter
    def allowed(self, value):
        self._quota.allowed = value

    def send(self, data):
        data, done = bytes(data), 0
        while done < len(data):
            record = self._sealed or data[done : done + self._record]
            assert data[done:].startswith(record), "OpenSSL: bad write retry"
            self._sealed = record
            if self._quota.allowed < len(record) or not self._quota.send(record):
                return done
            self._sealed = b""
            done += len(record)
        return done


class Echoing(Memory):
    """A store that gives back what is appended, as long as `own` says that it was this process."""

    own = True

    def echo(self, take):
        self._take = take

    def append(self, entries, *, atomic=True):
        before = self.head()
        results = super().append(entries, atomic=atomic)
        if self.own and self._head > before:
            added = [record for record in self._records if record.offset > before and record.deliver]
            self._take(before, self._head, lambda: added)
        return results


@dataclass(eq=False)
class Peer:
    """The other end of a sink."""

    sink: object
    connection: object
    socket: object
    subscription: object = None
    raw: bytes = b""
    closed: bool = False

    def take(self, size=1 << 24):
        """Read at most so many of the bytes that are there."""
        while size > 0:
            try:
                data = self.socket.recv(min(size, 65536))
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                break
            self.raw += data
            size -= len(data)
        return self.raw

    def frames(self):
        """Return `(kind, offset, data)` of every frame so far; the bytes have to be whole frames."""
        self.take()
        assert self.raw.endswith(b"\n") or not self.raw, self.raw[-200:]
        frames = []
        for block in self.raw.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line != ":")
            if "id" in fields:
                offset = int(fields["id"].rpartition("-")[2])
                frames.append((fields.get("event", "event"), offset, json.loads(fields["data"])))
            elif "retry" in fields:
                frames.append(("retry", int(fields["retry"]), None))
        return frames

    def offsets(self):
        """Return the offsets of the events so far."""
        return [offset for kind, offset, _ in self.frames() if kind == "event"]

    def offsets_whole(self):
        """Return the offsets of the events that have come whole so far; the last may be cut."""
        whole, _, cut = self.take().rpartition(b"\n\n")
        self.raw = whole + b"\n\n"
        offsets = self.offsets()
        self.raw += cut
        return offsets

    def kinds(self):
        """Return the kinds of frames so far."""
        return [kind for kind, _, _ in self.frames()]


class Room:
    """A store, a hub and a replay; `turn` lets all of them work until nothing is left to do."""

    def __init__(self, *, store=Memory, keep=None, **options):
        self.world = World()
        self.store = store.create()
        self.store.keep(keep or Keep())
        self.store.open(self.world)
        self.places = Places(self.store)
        self.metrics = Metrics()
        self.hub = Hub(self.store, self.world, self.metrics, cursor=self.places.text, **{"capacity": 10_000, **options})
        self.store.echo(self.hub.echoed)
        self.store.watch(self.hub.grown, lambda payload: None)
        self.replay = Replay(self.hub, self.world)
        self.peers = []
        self.count = 0

    def append(self, count=1, *, type="t", subject=None, size=0, deliver=True):
        entries = []
        for _ in range(count):
            self.count += 1
            pad = b"x" * size
            body = b'{"id":"%d","type":"%s","pad":"%s"}' % (self.count, type.encode(), pad)
            entries.append(Entry(str(self.count), "/s", type, subject, b"", body, deliver))
        return [receipt.cursor.offset for receipt in self.store.append(entries)]

    def connect(self, *, connection=PlainConnection, buffer=0, heartbeat=10.0, **options):
        ours, theirs = socket.socketpair()
        if buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        theirs.setblocking(False)
        taken = connection(ours)
        sink = self.hub.adopt(taken, output="sse", heartbeat=heartbeat, **{"goodbye": PLAIN.goodbye, **options})
        self.peers.append(Peer(sink, taken, theirs))
        return self.peers[-1]

    def subscribe(self, after=None, filter=EVERYTHING, *, lag="replay", format=PLAIN, **connect):
        peer = self.connect(**connect)
        start = self.places.start(after if after is None or isinstance(after, str) else self.places.text(after))
        peer.subscription = peer.sink.subscribe(filter, format, start, lag=lag)
        return peer

    def types(self, *patterns):
        return Filter({"type": list(patterns)})

    def busy(self):
        return self.hub.catch_up.behind or self.hub.catch_up.ready

    def turn(self):
        self.hub.pump()
        for _ in range(100_000):
            if not self.busy():
                return
            while self.hub.catch_up.behind:
                self.replay.serve(self.hub.catch_up.behind.popleft())
            self.hub.pump()
        raise AssertionError("the hub does not come to rest")

    def writable(self):
        """Report room, as the poller would, to every sink that is full."""
        for peer in self.peers:
            self.hub.writable(peer.sink)

    def settle(self):
        """Let every peer read and the hub work until all is delivered."""
        for _ in range(100_000):
            for peer in self.peers:
                peer.take()
            self.writable()
            self.turn()
            if not self.hub.sinks.blocked:
                break
        for peer in self.peers:
            peer.take()

    def check_empty(self):
        """Nobody is left, and nothing of them."""
        hub = self.hub
        assert not self.world.watched
        assert len(hub.sinks) == hub.sinks.blocked == hub.sinks._pinned == 0
        assert not hub.groups
        assert hub.groups.unindexed == 0
        assert not hub.groups._deep
        for tables in (hub.groups._exact, hub.groups._prefix, hub.groups._lengths):
            assert not any(tables.values()), tables
        assert not any(wheel_slice for wheel in hub.sinks.pulse._wheels.values() for wheel_slice in wheel.slices)
        assert not hub.sinks._ending
        assert not self.busy()
        assert not hub.catch_up._ahead

    def close(self):
        for sink in self.hub.sinks:
            self.hub.sinks.lose(sink, "test")
        self.turn()
        self.check_empty()
        for peer in self.peers:
            peer.socket.close()
        self.store.close()
