"""The hub of one worker: it tails the store and sends what is new to every subscriber.

One loop (`run`) owns all delivery to live subscribers, heartbeats and the drain, so that none of
them can come between the halves of another. `Replay` serves those whose place has left the tail.

    grown ──▶ run: read the store ─▶ tail ─▶ groups ─▶ one send each ──short write──▶ blocked
                    ▲                                                                    │ socket drains
                    └── live again ◀── caught up from the tail, or page by page ◀────────┘

Rules for editors: a live subscriber has been sent everything up to `tail.told`, which is `tail.head`
except inside `_read`; so nothing that tells a place (a heartbeat, a goodbye, an ephemeral frame) runs
there, and nobody becomes live there. Whatever pauses or reads the store lets others subscribe and leave.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from eventstream.components.identity import Identity
from eventstream.components.output import Connection, Format, Gap, Goodbye, LagPolicy, Start
from eventstream.components.store import Record, Store
from eventstream.errors import StoreBusy
from eventstream.events.filter import Filter
from eventstream.runtime.catch_up import CatchUp
from eventstream.runtime.echo import Echo
from eventstream.runtime.group import Group, Groups
from eventstream.runtime.leases import Leases
from eventstream.runtime.sink import NOT_DIRECT, Sink, Subscriber
from eventstream.runtime.sinks import Farewell, Platform, Sinks, jittered_retry
from eventstream.runtime.tail import Chunk, Slot, Tail
from eventstream.telemetry.log import get_logger
from eventstream.telemetry.metrics import Metrics

log = get_logger("hub")

TAIL_BYTES = 16 << 20
READ_LIMIT = 1000  # events in one read of the tail
READ_BYTES = 65536
SENDS_BETWEEN_PAUSES = 128
CHUNKS_BETWEEN_PAUSES = 32  # of up to 64 KiB
SLICE = 256  # sends by one call, between two pauses: about 1.5 ms
MATCHES_BETWEEN_PAUSES = 2000
CHUNKS = 256  # joined chunks kept for those who catch up from the same place
ANNOUNCED = 1000  # ephemeral events that wait for the loop; more are lost and counted
POLL = 1.0  # seconds; what a lost announcement costs
STALL = 300.0  # seconds a full sink may take nothing


class Hub:
    """The subscribers of one worker."""

    def __init__(
        self,
        store: Store,
        platform: Platform,
        metrics: Metrics,
        *,
        cursor: Callable[[int], str],
        capacity: int,
        leases: Leases | None = None,
        stall: float = STALL,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        """`cursor` writes a place as text; `capacity` bounds the connections. Without `leases` nobody is refused."""
        self.store = store
        self.metrics = metrics
        self.cursor = cursor
        self.capacity = capacity
        self.tail = Tail(tail_bytes, store.head())
        self.groups = Groups()
        self._leases = leases
        self.sinks = Sinks(
            platform, metrics, fell_back=self._fall_back, left=self.cancel, stall=stall,
            closed=leases.close if leases is not None else None,
        )  # fmt: skip
        self.catch_up = CatchUp(self.tail, metrics, self._next_chunk, self.wake)
        self._platform = platform
        self._chunks: dict[tuple[Group, int], Chunk] = {}  # good until the tail moves
        self._announced: deque[Record] = deque()
        self._echo = Echo()
        self._farewell: Farewell | None = None
        self._wake = threading.Event()
        self._stopped = False
        self._known = self.tail.head  # how far the store has grown, as far as we were told
        self._sends = 0

    # -- the doors for outputs -------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether no further connection is taken."""
        return len(self.sinks) >= self.capacity or self._farewell is not None

    def adopt(
        self,
        connection: Connection,
        *,
        output: str,
        heartbeat: float,
        goodbye: Goodbye,
        received: Callable[[bytes], None] | None = None,
        idle: Callable[[], bytes] | None = None,
        closed: Callable[[], None] | None = None,
        identity: Identity | None = None,
    ) -> Sink:
        """Take over a connection; see `eventstream.components.output.Hub`."""
        sink = Sink(self, self.sinks, connection, output, goodbye, received, idle, closed)
        if self._leases is not None and identity is not None:
            self._leases.open(sink, identity)
            self.wake()  # it may be over before the loop would look again
        self.sinks.add(sink, heartbeat)
        if self._farewell is not None:
            self._farewell.add(sink)  # its request was under way when the drain began
            self.wake()
        return sink

    def subscribe(self, sink: Sink, filter: Filter, format: Format, start: Start, lag: LagPolicy) -> Subscriber:
        """Add a subscription to a sink; raises FilterError when the filter cannot be served, Reject."""
        if sink.closed:
            return Subscriber(sink, None, start.offset, lag)  # it left meanwhile; `closed` was told
        if self._leases is not None:
            self._leases.admit(sink, filter)
        known = max(self._known, start.offset)
        if not self.groups and known > self.tail.head:
            self.tail.reset(known)  # nobody listened, so nothing was read
        group = self.groups.join(filter, format)
        if any(other.group is group for other in sink.subscribers):
            sink.direct = NOT_DIRECT  # the same frames twice: the second waits for what became of the first
        subscriber = Subscriber(sink, group, start.offset, lag)
        sink.subscribers += (subscriber,)
        if start.gap is not None:
            sink.write(format.gap(start.gap))
        sink.write(format.cursor(self.cursor(start.offset)))
        self.catch_up.resume(subscriber)
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

    # -- what the poller and the store report -----------------------------------------------------

    def read(self, sink: Sink) -> bool:
        """Read once and pass it on; True when there may be more. The output's callback may block."""
        if sink.closed:
            return False
        try:
            data = sink.connection.recv(READ_BYTES)
        except OSError:
            self.sinks.lose(sink, "reset")
            return False
        if data is None:
            return False
        if not data:
            self.sinks.lose(sink, "left")
            return False
        if sink.on_received is not None:
            sink.on_received(data)
        return True

    def writable(self, sink: Sink) -> None:
        """Go on with a sink whose socket has drained."""
        if sink.closed or not sink.blocked_at or not sink.flush():
            return
        for subscriber in sink.subscribers:
            self.catch_up.resume(subscriber)
        if sink.ending:
            self.sinks.finish(sink)

    def echoed(self, after: int, next: int, records: Callable[[], list[Record]]) -> None:
        """Take what this process has appended; `grown` follows. See `Store.echo`."""
        if self.groups:
            self._echo.add(after, next, records)

    def grown(self, head: int) -> None:
        """Note that the store has grown."""
        self._known = max(self._known, head)
        if head > self.tail.head and self.groups:
            self._wake.set()

    def announce(self, record: Record) -> None:
        """Take an event that is in no store; `run` sends it to whoever can take it then."""
        if len(self._announced) >= ANNOUNCED:
            self.metrics.ephemeral_lost += 1
        else:
            self._announced.append(record)
            self._wake.set()

    def revoke(self, credential: str) -> None:
        """End every stream that stands on this credential; may be called from any thread."""
        if self._leases is not None:
            self._leases.revoke(credential)
            self._wake.set()

    def drain(self, retry: Callable[[], float]) -> None:
        """Take no more connections, and end those there are, each with its own `retry`."""
        self._farewell = Farewell(self.sinks, retry)
        self._wake.set()

    # -- the loop -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let `run` look for work."""
        self._wake.set()

    def run(self) -> None:
        """Deliver until `stop`."""
        while not self._stopped:
            busy = self.catch_up.ready or self._farewell
            limit = POLL if self._leases is None else self._leases.wait(POLL)
            self._wake.wait(0.0 if busy else self.sinks.pulse.wait(self._platform.monotonic(), limit))
            self._wake.clear()
            try:
                self.pump()
            except StoreBusy as trouble:
                log.error("store_unreadable", error=str(trouble))
                self._wake.wait(0.0 if self._farewell else POLL)
            self._platform.pause()

    def stop(self) -> None:
        """End `run` and `Replay.run`."""
        self._stopped = True
        self._wake.set()
        self.catch_up.more_behind.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def pump(self) -> None:
        """Bring every live subscriber to the store's head, and give each that is ready one chunk."""
        more = True
        while more:
            try:
                more = bool(self.groups) and self._read()
            finally:  # also while the store cannot be read, or grows faster than we send
                self._recover()
                self._serve()

    def _serve(self) -> None:
        """Do once what is due beside the tail."""
        for _ in range(len(self._announced)):
            self._send_ephemeral(self._announced.popleft())
        self.catch_up.turn(self._platform.pause, every=CHUNKS_BETWEEN_PAUSES)
        self._beat()
        self.sinks.cut_overdue()
        if self._leases is not None:
            self._end_leases(self._leases)
        if self._farewell:
            self._farewell.say(SENDS_BETWEEN_PAUSES, last_words=self._tell_places)

    def _read(self) -> bool:
        """Read one page behind the tail and send it; True when there is more."""
        old = self.tail.head
        page = self._echo.page(old, READ_LIMIT) or self.store.read(old, READ_LIMIT)
        if self.tail.head != old:
            return True  # everybody left meanwhile, and who came then began the tail anew
        if page.next <= old and page.trimmed <= old:
            return False
        self._chunks.clear()
        if page.trimmed > old:
            self._lose_history(old, page.trimmed)
            return True
        for group, slots in self._match(self.tail.extend(page.records, page.next)).items():
            self._flush(group, slots, old)
        self.tail.told = self.tail.head
        self.catch_up.tail_moved()
        return page.next < page.head

    def _recover(self) -> None:
        """After a failure while sending, let everybody catch up from what they surely have."""
        if self.tail.told < self.tail.head:
            for group in self.groups:
                for subscriber in list(group.live):
                    self._fall_back(subscriber)
                    self.catch_up.resume(subscriber)
            self.tail.told = self.tail.head
            self.catch_up.tail_moved()

    def _match(self, added: Sequence[Slot]) -> dict[Group, list[Slot]]:
        """Return which groups want which of the new events."""
        matched: dict[Group, list[Slot]] = {}
        known: dict[Hashable, dict[Group, None]] = {}  # also of who left in a pause; who comes then is not live yet
        work = 0
        for slot in added:
            key = self.groups.key_of(slot.record)
            groups = known.get(key)
            if groups is None:
                groups = dict.fromkeys(self.groups.matching(slot.record))
                if key is not None:
                    known[key] = groups
            for group in groups:
                matched.setdefault(group, []).append(slot)
            work += 1 + len(groups) + self.groups.unindexed
            if work >= MATCHES_BETWEEN_PAUSES:
                work = 0
                self._platform.pause()
        return matched

    def _lose_history(self, old: int, trimmed: int) -> None:
        """Retention overtook the tail: every live subscriber takes the replay's way and is told."""
        self.tail.reset(trimmed)
        for group in self.groups:
            for subscriber in list(group.live):
                self._fall_back(subscriber)
                subscriber.place = old
                self.catch_up.fall_behind(subscriber)
        self.catch_up.tail_moved()

    def _flush(self, group: Group, slots: list[Slot], place: int) -> None:
        """Send new events to the members of a group that are live behind `place`, one send per chunk."""
        members = list(group.live)
        while members and slots:
            chunk = self.tail.join(slots, self.tail.head, group.format, self.cursor)
            for some in self._slices(group, members):
                self._send(group, some, chunk, place)
            self.metrics.sent(len(chunk.offsets), len(members))
            place = chunk.offsets[-1]
            slots = slots[len(chunk.offsets) :]
            members = [subscriber for subscriber in members if subscriber in group.live]

    def _send(self, group: Group, members: list[Subscriber], chunk: Chunk, place: int) -> None:
        """Send a chunk to members that are live behind `place`: by one call where all their sockets are plain."""
        told = chunk.offsets[-1]  # a heartbeat tells it the rest
        fds = [member.sink.direct for member in members]
        if NOT_DIRECT in fds:
            for member in members:
                if member in group.live:
                    member.place = place  # live means: told everything up to here
                    if member.sink.deliver(member, chunk):
                        member.place = told
            return
        short = self.sinks.send_each(fds, chunk.data)
        for member in members:
            member.place = told
        for index, sent in short:
            if sent >= 0:
                members[index].sink.cut(members[index], chunk, sent)
        self.sinks.settle([(members[index].sink, sent) for index, sent in short])

    def _slices(self, group: Group, members: list[Subscriber]) -> Iterator[list[Subscriber]]:
        """Yield, some at a time, those of `members` that are still live; lets others run in between."""
        done = 0
        while done < len(members):
            many = SLICE - self._sends % SLICE
            some = [member for member in members[done : done + many] if member in group.live]
            done += many
            yield some
            self._sends += len(some)
            if some and self._sends % SLICE == 0:
                self._platform.pause()

    def _count_send(self) -> None:
        self._sends += 1
        if self._sends % SENDS_BETWEEN_PAUSES == 0:
            self._platform.pause()

    def _chunk(self, group: Group, place: int) -> Chunk:
        chunk = self._chunks.get((group, place))
        if chunk is None:
            chunk = self.tail.chunk(place, group.filter.matches, group.format, self.cursor)
            if len(self._chunks) < CHUNKS:
                self._chunks[group, place] = chunk
        return chunk

    def _next_chunk(self, subscriber: Subscriber) -> Chunk:
        if subscriber.group is None:
            return Chunk(b"", (), (), subscriber.place)
        try:
            return self._chunk(subscriber.group, subscriber.place)
        except Exception:
            self.sinks.lose(subscriber.sink, "failed")  # an output's format failed; nobody else would bring it on
            raise

    def _send_ephemeral(self, record: Record) -> None:
        """Send an event that is in no store to everybody who can take it now, under the present place."""
        head = self.tail.head
        cursor = self.cursor(head)
        chunks: dict[object, Chunk] = {}
        for group in dict.fromkeys(self.groups.matching(record)):
            chunk = chunks.get(group.format.key)
            if chunk is None:
                frame = group.format.event(record, cursor)
                chunk = chunks[group.format.key] = Chunk(frame, [len(frame)], [head], head)
            lost = group.members
            for members in self._slices(group, list(group.live)):
                lost -= len(members)
                self._send(group, members, chunk, head - 1)  # its frame tells them `head`
            self.metrics.sent(1, group.members - lost)
            self.metrics.ephemeral_lost += max(0, lost)

    def _fall_back(self, subscriber: Subscriber) -> None:
        """Take a subscriber out of the live ones; its place says where to read on."""
        group = subscriber.group
        if group is not None and subscriber in group.live:
            del group.live[subscriber]
            subscriber.place = max(subscriber.place, self.tail.told)  # nothing up to there was for it
            self.metrics.fell_behind += 1

    # -- heartbeats, gaps and last words ---------------------------------------------------------------

    def _beat(self) -> None:
        """Send the heartbeats that are due: the place where it has moved, else a sign of life."""
        for sink in self.sinks.due():
            if not self._tell_places(sink) and not sink.blocked_at and not sink.closed:
                group = sink.subscribers[0].group if sink.subscribers else None
                if sink.idle is not None:
                    sink.write(sink.idle())
                elif group is not None:
                    sink.write(group.format.idle())
            self._count_send()

    def _end_leases(self, leases: Leases) -> None:
        """Say goodbye to those whose credential has expired or is revoked."""
        for sink, reason in leases.due().items():
            if not sink.closed and not sink.ending:
                if not sink.blocked_at:
                    self._tell_places(sink)
                sink.end(sink.on_goodbye(jittered_retry(), reason))
                self._count_send()

    def _tell_places(self, sink: Sink) -> bool:
        """Tell each live subscription its place where that has moved; True when there was one to tell."""
        head, told = self.tail.head, False
        for subscriber in sink.subscribers:
            group = subscriber.group
            if group is not None and subscriber in group.live and subscriber.place < head:
                subscriber.place = head  # a blocked sink keeps the frame's rest, so it is told all the same
                sink.write(group.format.cursor(self.cursor(head)))
                told = True
        return told

    def gap(self, subscriber: Subscriber, trimmed: int) -> None:
        """Tell a subscriber that retention passed its place, and move it on."""
        lost = self.cursor(subscriber.place), self.cursor(trimmed)
        gap = Gap(*lost, "expired") if subscriber.resuming else Gap(*lost, "overflow")
        subscriber.place = trimmed
        if subscriber.group is not None:
            subscriber.sink.write(subscriber.group.format.gap(gap))
