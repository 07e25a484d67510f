"""The hub of one worker: it tails the store and sends what is new to every subscriber.

One loop (`run`) owns all delivery to live subscribers, heartbeats and the drain, so that none of
them can come between the halves of another. `Replay` serves those whose place has left the tail.

    grown ──▶ run: read the store ─▶ tail ─▶ groups ─▶ one send each ──short write──▶ blocked
                    ▲                                                                    │ socket drains
                    └── live again ◀── caught up from the tail, or page by page ◀── ready┘
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from eventstream.components.output import Connection, Format, Gap, LagPolicy, Start
from eventstream.components.store import Record, Store
from eventstream.errors import StoreBusy
from eventstream.events.filter import Filter
from eventstream.runtime.group import Group, Groups
from eventstream.runtime.pulse import Pulse
from eventstream.runtime.sink import Sink, Subscriber
from eventstream.runtime.tail import Chunk, Tail
from eventstream.telemetry.log import get_logger
from eventstream.telemetry.metrics import Metrics

log = get_logger("hub")

TAIL_BYTES = 16 << 20
PINNED_BYTES = 64 << 20  # unsent ends of frames, over all sinks
READ_LIMIT = 1000  # events in one read of the tail
SENDS_BETWEEN_PAUSES = 128
CHUNKS = 256  # joined chunks kept for those who catch up from the same place
ANNOUNCED = 1000  # ephemeral events that wait for the loop; more are lost and counted
POLL = 1.0  # seconds; what a lost announcement costs


class Platform(Protocol):
    """What the hub needs of the world."""

    def pause(self) -> None:
        """Let others run."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""


class Hub:
    """The subscribers of one worker."""

    def __init__(
        self,
        store: Store,
        platform: Platform,
        metrics: Metrics,
        *,
        cursor: Callable[[int], str],
        watch: Callable[[Sink], None],
        unwatch: Callable[[Sink], None],
        capacity: int,
        stall: float = 300.0,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        """`watch` and `unwatch` put a sink's descriptor under the poller and take it away."""
        self.store = store
        self.metrics = metrics
        self.cursor = cursor
        self.capacity = capacity
        self.stall = stall
        self.tail = Tail(tail_bytes)
        self.groups = Groups()
        self.sinks: set[Sink] = set()
        self.pulse = Pulse()
        self.behind: deque[Subscriber] = deque()  # places outside the tail; Replay takes them
        self.ready: deque[Subscriber] = deque()  # to be caught up from the tail
        self.more_behind = threading.Event()
        self._ahead: list[Subscriber] = []  # places that the tail has not reached yet
        self._chunks: dict[tuple[Group, int], Chunk] = {}  # good until the tail moves
        self._announced: deque[Record] = deque()
        self._blocked: dict[Sink, None] = {}  # oldest first
        self._pinned = 0
        self._ending: dict[Sink, float] = {}
        self._platform = platform
        self._watch = watch
        self._unwatch = unwatch
        self._wake = threading.Event()
        self._stopped = False
        self._drain: deque[Sink] | None = None
        self._retry: Callable[[], float] = lambda: 1.0

    # -- the doors for outputs -------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether no further connection is taken."""
        return len(self.sinks) >= self.capacity or self._drain is not None

    def adopt(
        self,
        connection: Connection,
        *,
        output: str,
        heartbeat: float,
        goodbye: Callable[[float], bytes],
        received: Callable[[bytes], None] | None = None,
        idle: Callable[[], bytes] | None = None,
        closed: Callable[[], None] | None = None,
    ) -> Sink:
        """Take over a connection; see `eventstream.components.output.Hub`."""
        sink = Sink(self, connection, output, goodbye, received, idle, closed)
        self.sinks.add(sink)
        self.pulse.add(sink, heartbeat)
        self.metrics.connections(output, 1)
        self._watch(sink)
        return sink

    def subscribe(self, sink: Sink, filter: Filter, format: Format, start: Start, lag: LagPolicy) -> Subscriber:
        """Add a subscription to a sink; raises FilterError when the filter cannot be served."""
        if not self.groups and start.offset > self.tail.head:
            self.tail.reset(start.offset)  # nobody listened, so nothing was read
        group = self.groups.join(filter, format)
        subscriber = Subscriber(sink, group, start.offset, lag)
        sink.subscribers += (subscriber,)
        if start.gap is not None:
            sink.gap(subscriber, start.gap)
        sink.write(format.cursor(self.cursor(start.offset)))
        if not sink.closed and not sink.blocked_at:
            self._resume(subscriber)
        return subscriber

    def cancel(self, subscriber: Subscriber) -> None:
        """Take a subscription off its sink."""
        group = subscriber.group
        if group is not None:
            subscriber.group = None
            group.live.pop(subscriber, None)
            self.groups.leave(group)
            sink = subscriber.sink
            sink.subscribers = tuple(other for other in sink.subscribers if other is not subscriber)

    # -- what the poller reports ------------------------------------------------------------------

    def readable(self, sink: Sink) -> None:
        """Read everything the peer sent."""
        while not sink.closed:
            try:
                data = sink.connection.recv(65536)
            except OSError:
                self.lose(sink, "reset")
                return
            if data is None:
                return
            if not data:
                self.lose(sink, "left")
                return
            if sink.on_received is not None:
                sink.on_received(data)

    def writable(self, sink: Sink) -> None:
        """Go on with a sink whose socket has drained."""
        if sink.closed or not sink.blocked_at or not sink.flush():
            return
        for subscriber in sink.subscribers:
            self._resume(subscriber)
        if sink.ending:
            self.finish(sink)

    # -- sending ------------------------------------------------------------------------------------

    def send(self, sink: Sink, data: bytes | memoryview) -> int:
        """Write what fits; a broken connection is lost here."""
        try:
            sent = sink.connection.send(data)
        except OSError:
            self.lose(sink, "reset")
            return 0
        self.metrics.bytes_out += sent
        return sent

    def block(self, sink: Sink) -> None:
        """Note that a sink is full: its live subscribers fall back to their places."""
        if not sink.blocked_at:
            sink.blocked_at = self._platform.monotonic()
            self._blocked[sink] = None
            for subscriber in sink.subscribers:
                self._fall_back(subscriber)
        self._pin(len(sink.rest) if sink.rest is not None else 0)

    def progress(self, sink: Sink, sent: int) -> None:
        """Note that a full sink took some bytes."""
        sink.blocked_at = self._platform.monotonic()
        self._pinned -= sent

    def unblock(self, sink: Sink) -> None:
        """Note that a sink's rest is written."""
        sink.blocked_at = 0.0
        self._blocked.pop(sink, None)
        if not self._blocked:
            self._pinned = 0

    def _fall_back(self, subscriber: Subscriber) -> None:
        group = subscriber.group
        if group is not None and subscriber in group.live:
            del group.live[subscriber]
            self.metrics.fell_behind += 1

    def _pin(self, size: int) -> None:
        self._pinned += size
        while self._pinned > PINNED_BYTES and self._blocked:
            self.lose(next(iter(self._blocked)), "pinned")

    def lose(self, sink: Sink, reason: str) -> None:
        """Drop a connection that is gone, or has to go; its subscribers come back with their cursor."""
        if sink.closed:
            return
        sink.closed = True
        for subscriber in sink.subscribers:
            self.cancel(subscriber)
        self.sinks.discard(sink)
        self.pulse.remove(sink)
        self._ending.pop(sink, None)
        if sink in self._blocked:
            del self._blocked[sink]
            self._pinned -= len(sink.rest) if sink.rest is not None else 0
        sink.rest = None
        sink.queue = None
        self._unwatch(sink)
        sink.connection.close()
        self.metrics.connections(sink.output, -1)
        self.metrics.closed(sink.output, reason)
        if sink.on_closed is not None:
            sink.on_closed()

    def finish(self, sink: Sink) -> None:
        """Close an ending sink once everything is written, or when its 5 s are over."""
        if sink.closed:
            return
        if sink.blocked_at:
            self._ending.setdefault(sink, self._platform.monotonic() + 5.0)
        else:
            self.lose(sink, "ended")

    # -- the loop -------------------------------------------------------------------------------------

    def grown(self, head: int) -> None:
        """Note that the store has grown; called from the store's watch."""
        if head > self.tail.head:
            self._wake.set()

    def run(self) -> None:
        """Deliver until `stop`."""
        while not self._stopped:
            self._wake.wait(0.0 if self.ready or self._drain else self.pulse.wait(self._platform.monotonic(), POLL))
            self._wake.clear()
            try:
                self.pump()
            except StoreBusy as trouble:
                log.error("store_unreadable", error=str(trouble))
                self._wake.wait(POLL)
            self._platform.pause()

    def stop(self) -> None:
        """End `run` and `Replay.run`."""
        self._stopped = True
        self._wake.set()
        self.more_behind.set()

    @property
    def blocked(self) -> int:
        """How many connections are full."""
        return len(self._blocked)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def pump(self) -> None:
        """Bring every live subscriber to the store's head, and give each that is ready one chunk."""
        if not self.groups:
            self._follow_idly()
        else:
            while self._read():
                self._catch_up(len(self.ready))
        while self._announced:
            self._send_ephemeral(self._announced.popleft())
        self._catch_up(len(self.ready))
        self._beat()
        self._end_overdue()
        if self._drain is not None:
            self._drain_slice()

    def _follow_idly(self) -> None:
        head = self.store.head()
        if head > self.tail.head and not self.groups:
            self.tail.reset(head)

    def _read(self) -> bool:
        """Read one page behind the tail and send it; True when there is more."""
        old = self.tail.head
        page = self.store.read(old, READ_LIMIT)
        if page.next <= old and page.trimmed <= old:
            return False
        self._chunks.clear()
        if page.trimmed > old:
            self._lose_history(old, page.trimmed)
            return True
        matched: dict[Group, None] = {}
        for slot in self.tail.extend(page.records, page.next):
            for group in self.groups.matching(slot.record):
                matched[group] = None
        for group in matched:
            self._flush(group, old)
        self.ready += self._ahead
        self._ahead.clear()
        self.metrics.delivered_to(self.tail.head)
        return page.next < page.head

    def _lose_history(self, old: int, trimmed: int) -> None:
        """Retention overtook the tail: every live subscriber takes the replay's way and is told."""
        for group in self.groups:
            for subscriber in list(group.live):
                self._fall_back(subscriber)
                subscriber.place = old
                self._send_behind(subscriber)
        self.tail.reset(trimmed)

    def _flush(self, group: Group, place: int) -> None:
        """Send everything behind `place` to all live members of a group, one send per chunk."""
        members = list(group.live)
        sends = 0
        while members:
            chunk = self._chunk(group, place)
            for subscriber in members:
                if subscriber in group.live:
                    subscriber.place = place  # live means: told everything up to here
                    subscriber.sink.deliver(subscriber, chunk)
                    sends += 1
                    if sends % SENDS_BETWEEN_PAUSES == 0:
                        self._platform.pause()
            self.metrics.sent(len(chunk.offsets), len(members))
            place = chunk.next
            if place >= self.tail.head:
                return
            members = [subscriber for subscriber in members if subscriber in group.live]

    def _chunk(self, group: Group, place: int) -> Chunk:
        chunk = self._chunks.get((group, place))
        if chunk is None:
            chunk = self.tail.chunk(place, group.filter.matches, group.format, self.cursor)
            if len(self._chunks) < CHUNKS:
                self._chunks[group, place] = chunk
        return chunk

    def announce(self, record: Record) -> None:
        """Take an event that is in no store; `run` sends it to whoever can take it then."""
        if len(self._announced) >= ANNOUNCED:
            self.metrics.ephemeral_lost += 1
        else:
            self._announced.append(record)
            self._wake.set()

    def _send_ephemeral(self, record: Record) -> None:
        cursor = self.cursor(self.tail.head)
        frames: dict[object, bytes] = {}
        for group in list(self.groups.matching(record)):
            frame = frames.get(group.format.key)
            if frame is None:
                frame = frames[group.format.key] = group.format.event(record, cursor)
            for subscriber in list(group.live):
                if not subscriber.sink.blocked_at and not subscriber.sink.closed:
                    subscriber.sink.push(frame)
            self.metrics.sent(1, len(group.live))
            self.metrics.ephemeral_lost += group.members - len(group.live)

    # -- catching up ------------------------------------------------------------------------------------

    def _resume(self, subscriber: Subscriber) -> None:
        """Make a subscriber live, or put it where it will be brought on."""
        group = subscriber.group
        if group is None or subscriber.sink.blocked_at:
            return
        if subscriber.place == self.tail.head:
            subscriber.resuming = False
            group.live[subscriber] = None
        elif subscriber.place < self.tail.start:
            self._send_behind(subscriber)
        else:
            self.ready.append(subscriber)
            self._wake.set()

    def resume(self, subscriber: Subscriber) -> None:
        """Take back a subscriber from `Replay`; `Hub.run` brings it on."""
        self.ready.append(subscriber)
        self._wake.set()

    def _send_behind(self, subscriber: Subscriber) -> None:
        if subscriber.disconnect and not subscriber.resuming:
            subscriber.sink.end(subscriber.sink.on_goodbye(self._retry()))
            return
        self.behind.append(subscriber)
        self.more_behind.set()

    def _catch_up(self, count: int) -> None:
        """Give `count` of those who are ready one chunk each."""
        for done in range(1, count + 1):
            if not self.ready:
                return
            subscriber = self.ready.popleft()
            group, sink = subscriber.group, subscriber.sink
            if group is None or sink.closed or sink.blocked_at or subscriber in group.live:
                continue
            if self.tail.start <= subscriber.place < self.tail.head:
                chunk = self._chunk(group, subscriber.place)
                self.metrics.sent(len(chunk.offsets), 1)
                if not sink.deliver(subscriber, chunk):
                    continue
            if subscriber.place > self.tail.head:
                self._ahead.append(subscriber)
            else:
                self._resume(subscriber)
            if done % SENDS_BETWEEN_PAUSES == 0:
                self._platform.pause()

    def gap(self, subscriber: Subscriber, trimmed: int) -> None:
        """Tell a subscriber that retention passed its place, and move it on."""
        reason = "expired" if subscriber.resuming else "overflow"
        gap = Gap(self.cursor(subscriber.place), self.cursor(trimmed), reason)
        subscriber.place = trimmed
        subscriber.sink.gap(subscriber, gap)

    # -- heartbeats and the end ---------------------------------------------------------------------------

    def _beat(self) -> None:
        """Send one slice's heartbeats; a frame with the place where it has moved."""
        now = self._platform.monotonic()
        head = self.tail.head
        for count, sink in enumerate(self.pulse.due(now), 1):
            if sink.blocked_at:
                if now - sink.blocked_at > self.stall:
                    self.lose(sink, "stalled")
            elif not sink.closed:
                self._beat_one(sink, head)
            if count % SENDS_BETWEEN_PAUSES == 0:
                self._platform.pause()

    def _beat_one(self, sink: Sink, head: int) -> None:
        told = False
        for subscriber in sink.subscribers:
            group = subscriber.group
            if group is not None and subscriber in group.live and subscriber.place < head:
                sink.write(group.format.cursor(self.cursor(head)))
                if not sink.blocked_at:
                    subscriber.place = head
                told = True
        if not told and not sink.closed and not sink.blocked_at:
            idle = sink.idle() if sink.idle is not None else None
            if idle is None:
                idle = sink.subscribers[0].group.format.idle() if sink.subscribers and sink.subscribers[0].group else b""
            sink.write(idle)

    def drain(self, retry: Callable[[], float]) -> None:
        """Take no more subscribers, and end those there are in slices with a jittered `retry`."""
        self._retry = retry
        self._drain = deque(self.sinks)
        self._wake.set()

    def _drain_slice(self) -> None:
        for _ in range(min(SENDS_BETWEEN_PAUSES, len(self._drain or ()))):
            sink = self._drain.popleft()  # type: ignore[union-attr]  # the range is empty without it
            if not sink.closed and not sink.ending:
                if not sink.blocked_at:
                    self._tell_places(sink)
                sink.end(sink.on_goodbye(self._retry()))
        self._platform.pause()

    def _tell_places(self, sink: Sink) -> None:
        for subscriber in sink.subscribers:
            group = subscriber.group
            if group is not None and subscriber in group.live and subscriber.place < self.tail.head:
                sink.write(group.format.cursor(self.cursor(self.tail.head)))

    def _end_overdue(self) -> None:
        if self._ending:
            now = self._platform.monotonic()
            for sink in [sink for sink, deadline in self._ending.items() if deadline <= now]:
                self.lose(sink, "ended")
