"""The hash chain of a store: each event's hash covers the event, its place, and the hash before it."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Annotated, NamedTuple

from eventstream.components.component import Config, Duration, Meta

CHAIN_START = bytes(32)  # what the first event of a chain follows
_PART = 2047  # bytes; hashlib gives the interpreter lock away for more, and has to queue to get it back
_frame = struct.Struct(">32sqq?4i").pack


class Chain(Config, frozen=True):
    """A hash chain over the stored events, and how often its head is logged: when either bound says so."""

    events: Annotated[
        int, Meta(ge=1, description="How many events may come before the head's hash is logged.", examples=[10000])
    ] = 10_000
    every: Annotated[
        Duration, Meta(description="How long the head's hash may stay unlogged once it has moved.", examples=["5m"])
    ] = Duration(300)

    def __post_init__(self) -> None:
        """Refuse zero: a line for each event is what the store is for."""
        if self.every < 1:
            raise ValueError("every: must be 1s or longer")


class ChainMark(NamedTuple):
    """A place in the chain and the hash there."""

    offset: int
    hash: bytes


class Link(NamedTuple):
    """One stored event as the chain sees it: the very bytes, judged by nobody."""

    offset: int
    received: int  # Unix microseconds of its receipt
    deliver: bool
    type: bytes
    source: bytes
    subject: bytes | None
    json: bytes
    hash: bytes | None  # None: it was stored outside the chain

    def follow(self, previous: bytes) -> bytes:
        """Return the hash that this event has behind `previous`."""
        return chain_hash(
            previous, self.offset, self.received, self.deliver, self.type, self.source, self.subject, self.json
        )


class ChainPage(NamedTuple):
    """A part of the history with its hashes, taken from one snapshot of the store."""

    links: list[Link]  # in their order
    anchor: ChainMark  # the chain's beginning: events behind it are in the chain, or should be
    end: ChainMark  # the last event in the chain, as the store noted it
    head: int
    trimmed: int  # the highest offset that retention removed; the anchor never lies before it


def chain_hash(
    previous: bytes,
    offset: int,
    received: int,
    deliver: bool,
    type: bytes,
    source: bytes,
    subject: bytes | None,
    json: bytes,
) -> bytes:
    """Return the 32 bytes of SHA-256 over an event and the hash before it; docs/how-to/audit.md has the layout."""
    absent = -1 if subject is None else len(subject)
    frame = _frame(previous, offset, received, deliver, len(type), len(source), absent, len(json))
    message = b"".join((frame, type, source, subject or b"", json))
    if len(message) <= _PART:
        return sha256(message).digest()
    digest = sha256()
    parts = memoryview(message)
    for at in range(0, len(message), _PART):
        digest.update(parts[at : at + _PART])
    return digest.digest()
