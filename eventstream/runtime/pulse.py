"""Heartbeats in slices, so that ten thousand of them are never due at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventstream.runtime.sink import Sink


class _Wheel:
    """The sinks of one heartbeat interval, in slices that come due one after the other."""

    def __init__(self, interval: float) -> None:
        self.slices: list[set[Sink]] = [set() for _ in range(max(1, int(interval)))]
        self.step = interval / len(self.slices)
        self.turn = cycle(self.slices)  # which slice the next sink goes to
        self.position = 0
        self.due = 0.0  # monotonic; 0: not started

    def take(self, now: float) -> Iterator[Sink]:
        if not self.due:
            self.due = now + self.step
        while self.due <= now:
            yield from list(self.slices[self.position])
            self.position = (self.position + 1) % len(self.slices)
            self.due = max(self.due + self.step, now - self.step * len(self.slices))


class Pulse:
    """All wheels of one hub."""

    def __init__(self) -> None:
        """Start empty."""
        self._wheels: dict[float, _Wheel] = {}

    def add(self, sink: Sink, interval: float) -> None:
        """Give a sink a heartbeat every `interval` seconds; 0 for none."""
        if interval > 0:
            wheel = self._wheels.setdefault(interval, _Wheel(interval))
            sink.pulse = next(wheel.turn)
            sink.pulse.add(sink)

    def remove(self, sink: Sink) -> None:
        """Take a sink out."""
        if sink.pulse is not None:
            sink.pulse.discard(sink)
            sink.pulse = None

    def due(self, now: float) -> Iterator[Sink]:
        """Yield every sink whose heartbeat is due."""
        for wheel in list(self._wheels.values()):  # the caller pauses, and others add meanwhile
            yield from wheel.take(now)

    def wait(self, now: float, limit: float) -> float:
        """Return the seconds until something is due, at most `limit`."""
        dues = [wheel.due for wheel in self._wheels.values() if wheel.due]
        return max(0.0, min([limit, *(due - now for due in dues)]))
