"""A handed-over socket, and the subscriptions on it. A subscriber is a socket and a cursor.

Rules for editors:
- Whole frames only: `rest` is the unsent end of one frame, and nothing else is sent before it.
- A blocked sink takes no event frames: its subscribers fall back to their place and catch up later.
- Only `Hub` moves subscribers in and out of `Group.live`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventstream.components.output import Connection, Format, Goodbye, LagPolicy, Start
from eventstream.events.filter import Filter
from eventstream.runtime.group import Group
from eventstream.runtime.tail import Chunk

if TYPE_CHECKING:
    from eventstream.runtime.hub import Hub
    from eventstream.runtime.sinks import Sinks

QUEUE_BYTES = 1 << 20  # frames of the output's own that wait for a full socket
NOT_DIRECT = -1  # of a sink whose bytes go through its connection's own `send` only
SHARE_BYTES = 16 * 1024  # a larger rest may be a view of the shared chunk


class Subscriber:
    """One filter and cursor on a sink.

    `place` is the last place it was told while live, and where to read on while it is not.
    """

    __slots__ = ("disconnect", "group", "place", "resuming", "sink")

    def __init__(self, sink: Sink, group: Group | None, place: int, lag: LagPolicy) -> None:
        """Start behind `place`, not yet live."""
        self.sink = sink
        self.group = group
        self.place = place
        self.disconnect = lag == "disconnect"
        self.resuming = True  # a loss found now is one of history, later one of lag

    def cancel(self) -> None:
        """End it; the sink stays open."""
        self.sink.hub.cancel(self)


class Sink:
    """One connection: what is still to be written to it, and who writes."""

    __slots__ = (
        "blocked_at", "closed", "connection", "direct", "ending", "hub", "idle", "on_closed", "on_goodbye",
        "on_received", "output", "pulse", "queue", "queued", "rest", "sinks", "subscribers",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        sinks: Sinks,
        connection: Connection,
        output: str,
        goodbye: Goodbye,
        received: Callable[[bytes], None] | None,
        idle: Callable[[], bytes] | None,
        closed: Callable[[], None] | None,
    ) -> None:
        """Take a connection; `Hub.adopt` is the door."""
        self.hub = hub
        self.sinks = sinks
        self.connection = connection
        self.direct = connection.direct  # the descriptor for `send_each`, or NOT_DIRECT
        self.output = output
        self.on_goodbye = goodbye
        self.on_received = received
        self.idle = idle
        self.on_closed = closed
        self.subscribers: tuple[Subscriber, ...] = ()
        self.rest: bytes | memoryview | None = None
        self.queue: deque[bytes] | None = None
        self.queued = 0
        self.blocked_at = 0.0  # monotonic time since which nothing could be written; 0: not blocked
        self.ending = False
        self.closed = False
        self.pulse: set[Sink] | None = None  # the heartbeat slice it is in

    def subscribe(self, filter: Filter, format: Format, start: Start, *, lag: LagPolicy = "replay") -> Subscriber:
        """Deliver from `start` on; see `eventstream.components.output.Sink`."""
        return self.hub.subscribe(self, filter, format, start, lag)

    def write(self, frame: bytes) -> None:
        """Send a frame now, or queue it behind the one that is stuck."""
        if self.closed or self.ending:
            return
        if self.blocked_at:
            self._enqueue(frame)
        else:
            self.push(frame)

    @property
    def pinned(self) -> int:
        """How many bytes wait here for the peer."""
        return self.queued + (len(self.rest) if self.rest is not None else 0)

    def _enqueue(self, frame: bytes) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.append(frame)
        self.queued += len(frame)
        self.sinks.pin(len(frame))
        if self.queued > QUEUE_BYTES:
            self.sinks.lose(self, "queue")

    def push(self, data: bytes | memoryview) -> None:
        """Write one frame to a sink that is not blocked; keep what does not fit."""
        sent = self.sinks.send(self, data)
        if not self.closed and sent < len(data):
            self.keep(data, sent, len(data))
            self.sinks.settle([(self, sent)])

    def keep(self, data: bytes | memoryview, sent: int, end: int) -> None:
        """Keep the unsent end of one frame and wait for the socket to drain; `Sinks.settle` comes next."""
        self.rest = _held(memoryview(data)[sent:end])
        self.sinks.block(self)

    def deliver(self, subscriber: Subscriber, chunk: Chunk) -> bool:
        """Send a chunk's frames behind the subscriber's place; True when all of it went."""
        begin = chunk.since(subscriber.place) if chunk.offsets and chunk.offsets[0] <= subscriber.place else 0
        data: bytes | memoryview = memoryview(chunk.data)[begin:] if begin else chunk.data
        sent = self.sinks.send(self, data) if data else 0
        if self.closed:
            return False
        if sent == len(data):
            subscriber.place = max(subscriber.place, chunk.next)
            return True
        self.cut(subscriber, chunk, begin + sent)
        self.sinks.settle([(self, sent)])
        return False

    def cut(self, subscriber: Subscriber, chunk: Chunk, position: int) -> None:
        """Note that of a chunk only what is before byte `position` went; `Sinks.settle` comes next.

        The place is then that of the last frame that went or is kept as `rest`.
        """
        frame = bisect_left(chunk.ends, max(position + 1, position + self.connection.committed))
        subscriber.place = chunk.offsets[frame]  # this frame's rest is kept, and goes before anything else
        self.keep(chunk.data, position, chunk.ends[frame])

    def flush(self) -> bool:
        """Write what waits; True when the sink is free again."""
        if self.rest is not None:
            sent = self.sinks.send(self, self.rest)
            if self.closed:
                return False
            self.sinks.progress(self, sent)
            if sent < len(self.rest):
                self.rest = _held(memoryview(self.rest)[sent:])
                return False
            self.rest = None
        self.sinks.unblock(self)
        while self.queue and not self.blocked_at and not self.closed:
            frame = self.queue.popleft()
            self.queued -= len(frame)
            self.sinks.pin(-len(frame))
            self.push(frame)
        return not self.blocked_at and not self.closed

    def end(self, farewell: bytes = b"") -> None:
        """Write what is queued and this, then close; the peer is given 5 s to read it."""
        if not self.closed and not self.ending:
            self.write(farewell)
            self.ending = True
            self.sinks.finish(self)


def _held(rest: memoryview) -> bytes | memoryview:
    """Return what to keep: a view only while that keeps alive at most twice as much as is still to be sent."""
    return rest if len(rest) > SHARE_BYTES and 2 * len(rest) >= memoryview(rest.obj).nbytes else bytes(rest)
