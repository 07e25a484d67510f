"""The shared tail: recent events in memory, each framed once per format for everybody."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from eventstream.components.output import Format
from eventstream.components.store import Record

CHUNK_BYTES = 64 * 1024


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
    """A window `start < offset <= head` of the history. Bounded in bytes, at least one event."""

    def __init__(self, max_bytes: int, place: int = 0) -> None:
        """Begin empty at `place`."""
        self.max_bytes = max_bytes
        self.start = self.head = place
        self.bytes = 0
        self._slots: list[Slot] = []
        self._offsets: list[int] = []

    def reset(self, place: int) -> None:
        """Forget everything; begin anew at `place`."""
        self.start = self.head = place
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
        """Return the slot's frame in this format, encoding it the first time."""
        frame = slot.frames.get(format.key)
        if frame is None:
            frame = format.event(slot.record, cursor(slot.record.offset))
            slot.frames[format.key] = frame
            self.bytes += len(frame)
        return frame

    def chunk(
        self, place: int, matches: Callable[[Record], bool], format: Format, cursor: Callable[[int], str]
    ) -> Chunk:
        """Join the matching frames behind `place`: at most CHUNK_BYTES, or one frame."""
        frames: list[bytes] = []
        ends: list[int] = []
        offsets: list[int] = []
        size = 0
        for position in range(bisect_right(self._offsets, place), len(self._slots)):
            slot = self._slots[position]
            if not matches(slot.record):
                continue
            frame = self.frame(slot, format, cursor)
            if frames and size + len(frame) > CHUNK_BYTES:
                return Chunk(b"".join(frames), ends, offsets, offsets[-1])
            frames.append(frame)
            size += len(frame)
            ends.append(size)
            offsets.append(slot.record.offset)
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        return Chunk(data, ends, offsets, max(place, self.head))
