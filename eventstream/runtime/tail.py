"""The shared tail: recent events in memory, each framed once per format for everybody."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from eventstream.components.output import Format
from eventstream.components.store import Record

CHUNK_BYTES = 64 * 1024
MAX_SCAN = 2000  # events looked at for one chunk


class Chunk(NamedTuple):
    """Ready bytes of whole frames, and which place is reached after each.

    `ends[i]` is the byte behind frame i, `offsets[i]` its event's offset; `next` is the place behind
    the whole chunk, past what the filter skipped.
    """

    data: bytes
    ends: Sequence[int]
    offsets: Sequence[int]
    next: int

    def since(self, place: int) -> int:
        """Return the byte at which the first frame behind `place` begins."""
        skip = bisect_right(self.offsets, place)
        return self.ends[skip - 1] if skip else 0


class Slot:
    """One event in the tail, with its frames by format key."""

    __slots__ = ("frames", "record")

    def __init__(self, record: Record) -> None:
        """Start without frames."""
        self.record = record
        self.frames: dict[Hashable, bytes] = {}


class Tail:
    """A window `start < offset <= head` of the history. Bounded in bytes, at least one event.

    `told` is the place up to which every live subscriber has been sent everything: the head, except
    while the hub is sending.
    """

    def __init__(self, max_bytes: int, place: int = 0) -> None:
        """Begin empty at `place`."""
        self.max_bytes = max_bytes
        self.start = self.head = self.told = place
        self.bytes = 0
        self._slots: list[Slot] = []
        self._offsets: list[int] = []

    def reset(self, place: int) -> None:
        """Forget everything; begin anew at `place`."""
        self.start = self.head = self.told = place
        self.bytes = 0
        self._slots.clear()
        self._offsets.clear()

    def extend(self, records: Iterable[Record], head: int) -> list[Slot]:
        """Add the next records and move to `head`; returns their slots."""
        added = [Slot(record) for record in records]
        self._slots += added
        self._offsets += [slot.record.offset for slot in added]
        self.bytes += sum(len(slot.record.json) for slot in added)
        self.head = head
        self._evict()
        return added

    def _evict(self) -> None:
        drop = 0
        while self.bytes > self.max_bytes and drop < len(self._slots) - 1:
            slot = self._slots[drop]
            self.bytes -= len(slot.record.json) + sum(map(len, slot.frames.values()))
            self.start = slot.record.offset
            drop += 1
        if drop:
            del self._slots[:drop]
            del self._offsets[:drop]

    def frame(self, slot: Slot, format: Format, cursor: Callable[[int], str]) -> bytes:
        """Return the slot's frame in this format, encoding it the first time.

        Peers choose formats (a subscription's name is part of one), so frames are kept only while they
        fit into a quarter more than the bound.
        """
        frame = slot.frames.get(format.key)
        if frame is None:
            frame = format.event(slot.record, cursor(slot.record.offset))
            if self.bytes + len(frame) <= self.max_bytes + self.max_bytes // 4:
                slot.frames[format.key] = frame
                self.bytes += len(frame)
        return frame

    def chunk(
        self, place: int, matches: Callable[[Record], bool], format: Format, cursor: Callable[[int], str]
    ) -> Chunk:
        """Join the matching frames behind `place`, out of at most MAX_SCAN events."""
        first = bisect_right(self._offsets, place)
        slots = self._slots[first : first + MAX_SCAN]
        reached = self.head if first + MAX_SCAN >= len(self._slots) else slots[-1].record.offset
        return self.join([slot for slot in slots if matches(slot.record)], max(place, reached), format, cursor)

    def join(self, slots: Iterable[Slot], reached: int, format: Format, cursor: Callable[[int], str]) -> Chunk:
        """Join the frames of slots: at most CHUNK_BYTES, or one frame. `reached` is the place behind them all."""
        frames: list[bytes] = []
        ends: list[int] = []
        offsets: list[int] = []
        size = 0
        for slot in slots:
            frame = self.frame(slot, format, cursor)
            if frames and size + len(frame) > CHUNK_BYTES:
                reached = offsets[-1]
                break
            frames.append(frame)
            size += len(frame)
            ends.append(size)
            offsets.append(slot.record.offset)
        return Chunk(frames[0] if len(frames) == 1 else b"".join(frames), ends, offsets, reached)
