"""All handed-over connections of one worker: which are open, which are full, which are ending.

Everything that is written goes through `send` or `send_each`, and every connection ends in `lose`.
"""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from eventstream.runtime.pulse import Pulse
from eventstream.runtime.send import send_each
from eventstream.runtime.sink import Sink, Subscriber
from eventstream.telemetry.metrics import Metrics

PINNED_BYTES = 64 << 20  # what waits for full sockets, over all sinks: ends of frames and queues
FAREWELL = 5.0  # seconds a peer is given to read the end


class Platform(Protocol):
    """What the runtime needs of the world around it."""

    def pause(self) -> None:
        """Let others run."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""

    def watch(self, sink: Sink) -> None:
        """Poll a connection."""

    def unwatch(self, sink: Sink) -> None:
        """Poll it no more; called before it is closed."""


class Sinks:
    """The open sinks. `fell_back` and `left` tell the hub of a subscriber that is no longer live, or gone."""

    def __init__(
        self,
        platform: Platform,
        metrics: Metrics,
        *,
        fell_back: Callable[[Subscriber], None],
        left: Callable[[Subscriber], None],
        stall: float,
        closed: Callable[[Sink, str], None] | None = None,
    ) -> None:
        """A full sink that takes nothing for `stall` seconds is cut; `closed` is told of each end and its reason."""
        self.metrics = metrics
        self.pulse = Pulse()
        self._platform = platform
        self._fell_back = fell_back
        self._left = left
        self._stall = stall
        self._closed = closed
        self._open: set[Sink] = set()
        self._blocked: dict[Sink, None] = {}  # oldest first
        self._pinned = 0
        self._ending: dict[Sink, float] = {}  # by the time at which they are cut

    def __len__(self) -> int:
        """Count the open sinks."""
        return len(self._open)

    def __iter__(self) -> Iterator[Sink]:
        """Return every open sink."""
        return iter(list(self._open))

    @property
    def blocked(self) -> int:
        """How many are full."""
        return len(self._blocked)

    def add(self, sink: Sink, heartbeat: float) -> None:
        """Take a new connection."""
        self._open.add(sink)
        self.pulse.add(sink, heartbeat)
        self.metrics.connections(sink.output, 1)
        self._platform.watch(sink)

    def send(self, sink: Sink, data: bytes | memoryview) -> int:
        """Write what fits; a broken connection is lost here."""
        try:
            sent = sink.connection.send(data)
        except OSError:
            self.lose(sink, "reset")
            return 0
        self.metrics.bytes_out += sent
        return sent

    def send_each(self, fds: Sequence[int], data: bytes) -> list[tuple[int, int]]:
        """Write the same to many plain sockets: see `eventstream.runtime.send`. No output is called meanwhile."""
        short = send_each(array("i", fds), data)
        self.metrics.bytes_out += len(data) * (len(fds) - len(short)) + sum(max(0, sent) for _, sent in short)
        return short

    def settle(self, short: Sequence[tuple[Sink, int]]) -> None:
        """Count what is kept for those that took less than all, and lose those that are broken (negative).

        Comes when all places and rests are right: an output that is told of a loss may write to others.
        """
        self.pin(sum(len(sink.rest) for sink, _ in short if sink.rest is not None))
        for sink, sent in short:
            if sent < 0:
                self.lose(sink, "reset")

    def block(self, sink: Sink) -> None:
        """Note that a sink is full: its live subscribers fall back to their places."""
        if not sink.blocked_at:
            sink.blocked_at = self._platform.monotonic()
            self._blocked[sink] = None
            for subscriber in sink.subscribers:
                self._fell_back(subscriber)

    def pin(self, size: int) -> None:
        """Count bytes that wait for full sockets (or, negative, no longer wait); over the bound the oldest go."""
        self._pinned += size
        while self._pinned > PINNED_BYTES and self._blocked:
            self.lose(next(iter(self._blocked)), "pinned")

    def progress(self, sink: Sink, sent: int) -> None:
        """Note that a full sink took some bytes of its rest."""
        if sent:
            sink.blocked_at = self._platform.monotonic()
            self._pinned -= sent

    def unblock(self, sink: Sink) -> None:
        """Note that a sink has room again."""
        sink.blocked_at = 0.0
        self._blocked.pop(sink, None)

    def lose(self, sink: Sink, reason: str) -> None:
        """Drop a connection that is gone or has to go; its subscribers come back with their cursor."""
        if sink.closed:
            return
        sink.closed = True
        for subscriber in sink.subscribers:
            self._left(subscriber)
        self._open.discard(sink)
        self.pulse.remove(sink)
        self._ending.pop(sink, None)
        self._blocked.pop(sink, None)
        self._pinned -= sink.pinned
        sink.rest = sink.queue = None
        sink.queued = 0
        self._platform.unwatch(sink)
        sink.connection.close()
        self.metrics.connections(sink.output, -1)
        self.metrics.closed(sink.output, reason)
        if self._closed is not None:
            self._closed(sink, reason)
        if sink.on_closed is not None:
            sink.on_closed()

    def finish(self, sink: Sink) -> None:
        """Close an ending sink once everything is written, or when its time is over."""
        if sink.blocked_at:
            self._ending.setdefault(sink, self._platform.monotonic() + FAREWELL)
        else:
            self.lose(sink, "ended")

    def cut_overdue(self) -> None:
        """Cut those whose farewell is not read."""
        if self._ending:
            now = self._platform.monotonic()
            for sink in [sink for sink, deadline in self._ending.items() if deadline <= now]:
                self.lose(sink, "ended")

    def due(self) -> Iterator[Sink]:
        """Yield the sinks whose heartbeat is due and that can take one; cut those that stall."""
        now = self._platform.monotonic()
        for sink in self.pulse.due(now):
            if sink.blocked_at:
                if now - sink.blocked_at > self._stall:
                    self.lose(sink, "stalled")
            elif not sink.closed:
                yield sink


def jittered_retry() -> float:
    """Return the seconds after which one client should come back: 1 to 5, so that all do not at once."""
    return 1.0 + 4.0 * random.random()  # noqa: S311  # spreads reconnects; nothing secret


class Farewell:
    """A drain under way: every sink is told when to come back, a slice at a time."""

    def __init__(self, sinks: Sinks, retry: Callable[[], float]) -> None:
        """`retry` gives each its own jittered seconds."""
        self._waiting = deque(sinks)
        self._retry = retry

    def __bool__(self) -> bool:
        """Tell whether anybody is still to be told."""
        return bool(self._waiting)

    def add(self, sink: Sink) -> None:
        """Take one that came after the drain had begun."""
        self._waiting.append(sink)

    def say(self, count: int, *, last_words: Callable[[Sink], object]) -> None:
        """End the next `count` sinks, after `last_words` to each that can hear them."""
        for _ in range(min(count, len(self._waiting))):
            sink = self._waiting.popleft()
            if not sink.closed and not sink.ending:
                if not sink.blocked_at:
                    last_words(sink)
                sink.end(sink.on_goodbye(self._retry()))
