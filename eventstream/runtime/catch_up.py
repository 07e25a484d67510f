"""Subscribers that are not live: who waits for what, and how each comes back.

`behind`: the place has left the tail, and `Replay` reads pages for it. `ready`: the place is in the
tail, one chunk a turn. `ahead`: the tail has not reached the place yet.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from eventstream.runtime.sink import Subscriber
from eventstream.runtime.sinks import jittered_retry
from eventstream.runtime.tail import Chunk, Tail
from eventstream.telemetry.metrics import Metrics


class CatchUp:
    """The queues of one hub. A subscriber may stand in one twice; that costs a look and nothing else."""

    def __init__(
        self, tail: Tail, metrics: Metrics, chunk: Callable[[Subscriber], Chunk], wake: Callable[[], None]
    ) -> None:
        """`chunk` joins what is next for a subscriber in the tail; `wake` calls the hub's loop."""
        self.behind: deque[Subscriber] = deque()
        self.ready: deque[Subscriber] = deque()
        self.more_behind = threading.Event()
        self._ahead: list[Subscriber] = []
        self._tail = tail
        self._metrics = metrics
        self._chunk = chunk
        self._wake = wake

    def __len__(self) -> int:
        """Count who waits."""
        return len(self.behind) + len(self.ready) + len(self._ahead)

    def resume(self, subscriber: Subscriber) -> None:
        """Make a subscriber live, or put it where it will be brought on."""
        group = subscriber.group
        if group is None or subscriber.sink.closed or subscriber.sink.blocked_at:
            return
        if subscriber.place == self._tail.head == self._tail.told:
            subscriber.resuming = False
            group.live[subscriber] = None
        elif subscriber.place > self._tail.head:
            self._ahead.append(subscriber)
        elif subscriber.place < self._tail.start:
            self.fall_behind(subscriber)
        else:
            self.ready.append(subscriber)
            self._wake()

    def fall_behind(self, subscriber: Subscriber) -> None:
        """Let `Replay` read for this subscriber, unless it asked to be cut instead."""
        if subscriber.disconnect and not subscriber.resuming:
            subscriber.sink.end(subscriber.sink.on_goodbye(jittered_retry()))
            return
        self.behind.append(subscriber)
        self.more_behind.set()

    def tail_moved(self) -> None:
        """Look again at those that were ahead."""
        if self._ahead:
            self.ready += self._ahead
            self._ahead = []

    def turn(self, pause: Callable[[], None], *, every: int) -> None:
        """Give everybody who is ready now one chunk; `pause` after each `every`."""
        for done in range(1, len(self.ready) + 1):
            subscriber = self.ready.popleft()
            group, sink = subscriber.group, subscriber.sink
            if group is None or sink.closed or sink.blocked_at or subscriber in group.live:
                continue
            if self._tail.start <= subscriber.place < self._tail.head:
                chunk = self._chunk(subscriber)
                self._metrics.sent(len(chunk.offsets), 1)
                self.advance(subscriber, chunk)
            else:
                self.resume(subscriber)
            if done % every == 0:
                pause()

    def advance(self, subscriber: Subscriber, chunk: Chunk) -> None:
        """Send a chunk; when all of it went, bring the subscriber on."""
        told = max([subscriber.place, *chunk.offsets[-1:]])
        if subscriber.sink.deliver(subscriber, chunk):
            self.resume(subscriber)
            if subscriber.group is not None and subscriber in subscriber.group.live:
                subscriber.place = told  # the heartbeat tells it of what the filter skipped
