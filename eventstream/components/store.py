"""Stores: the append-only ordered history that is also the bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec

from eventstream.components.chain import ChainMark, ChainPage
from eventstream.components.component import Component, Config, Duration, Meta, Size
from eventstream.components.ledger import Ledger
from eventstream.events.codec import decode_stored
from eventstream.events.cursor import Cursor
from eventstream.events.event import UNSET, AttributeValue, Event
from eventstream.events.filter import Filter

Durability = Literal["fsync", "os", "replicated", "memory"]


class Keep(Config, frozen=True):
    """Retention: an event goes when any of the bounds says so."""

    age: Annotated[Duration, Meta(description="How long an event stays, from its receipt.", examples=["7d"])] = (
        Duration(7 * 86400)
    )
    events: Annotated[int, Meta(description="How many events stay.", examples=[1000000])] = 1_000_000
    size: Annotated[Size, Meta(description="How many bytes of events stay.", examples=["1GiB"])] = Size(2**30)
    ids: Annotated[
        Duration,
        Meta(
            description="How long an id is remembered, apart from its payload: so long a repeat is known.",
            examples=["24h"],
        ),
    ] = Duration(86400)


class Entry(NamedTuple):
    """One event to append, ready-made."""

    id: str
    source: str
    type: str
    subject: str | None
    fingerprint: bytes  # of the event as received: tells a repeat from a conflict
    json: bytes  # the CloudEvent as it will be sent
    deliver: bool = True  # False: stored, but invisible to subscribers


class Receipt(NamedTuple):
    """An entry's final place. `duplicate`: it was appended before, there."""

    cursor: Cursor
    duplicate: bool = False


class Conflict(NamedTuple):
    """The entry's id is taken by other content; nothing was appended for it."""

    id: str
    source: str


class Record(msgspec.Struct, gc=False):
    """One stored event as read back. `json` is the stored form, which is the wire form."""

    offset: int
    type: str
    source: str
    subject: str | None
    json: bytes
    received: float  # Unix seconds of its receipt
    deliver: bool = True
    _parsed: Event | None = None  # without its data; many filters may ask about one event

    def get(self, name: str) -> AttributeValue | None:
        """Return an attribute: the three columns cheaply, any other by parsing."""
        if name == "type":
            return self.type
        if name == "source":
            return self.source
        if name == "subject":
            return self.subject
        if self._parsed is None:
            self._parsed = decode_stored(self.json).replace(data=UNSET)
        return self._parsed.get(name)


class Page(NamedTuple):
    """One read, taken from one snapshot of the store.

    `records` lie in `after < offset <= next`; `next` is the place to read on from (past what the
    filter skipped), equal to `head` when the end was reached. A gap is exactly `after < trimmed`.
    """

    records: list[Record]
    next: int
    head: int
    trimmed: int  # the highest offset that retention removed; 0 when nothing was


class Epoch(NamedTuple):
    """A history that cannot contradict itself. `first` is the first offset that belongs to it."""

    name: str
    first: int


def epoch_of(epochs: Sequence[Epoch], offset: int) -> Epoch:
    """Return the epoch that a place belongs to: the newest that begins at or before it, else the first."""
    for epoch in reversed(epochs):
        if epoch.first <= offset:
            return epoch
    return epochs[0]


class Store(Component):
    """An ordered history shared by every process on it. Methods may block their greenlet, never the loop.

    Promises (see `eventstream.testing.StoreContract`): offsets are strictly increasing in the order in
    which events become visible and never reused; a reader never sees N before everything below N.
    """

    durability: Durability  # what a receipt of this store promises
    shared: ClassVar[bool] = True  # False: one process only; refused with several workers

    can_chain: ClassVar[bool] = False  # True: offers a hash chain; else the option `chain` is refused

    chained: bool = False  # set before `open` to continue the hash chain with every append
    read_only: bool = False  # set before `open` by who only reads or copies: nothing is written then

    def data_folder(self, folder: str) -> str | None:
        """Return the folder that holds this store's files, or None; called without `open`.

        `folder` is the configuration file's. The server's admin socket lies there.
        """
        return None

    def keep(self, keep: Keep) -> None:
        """Take the retention bounds; called once before `open`."""
        raise NotImplementedError

    def append(self, entries: Sequence[Entry], *, atomic: bool = True) -> list[Receipt | Conflict | None]:
        """Append in order and return one result per entry, once they are as durable as promised.

        With `atomic`, one `Conflict` among the results means that nothing was appended: the receipts
        beside it stand only where they are duplicates, `None` elsewhere. A repeat of an id with an
        equal fingerprint is a duplicate, also within one call. Raises StoreBusy.
        """
        raise NotImplementedError

    def read(self, after: int, limit: int, filter: Filter | None = None, *, hidden: bool = False) -> Page:
        """Return up to `limit` records behind `after`; with `hidden` also those not delivered.

        A page is also bounded in bytes and in rows scanned, so `records` may be empty while
        `next < head`: read on from `next`. Raises StoreBusy.
        """
        raise NotImplementedError

    def head(self) -> int:
        """Return the highest visible offset, 0 for an empty history."""
        raise NotImplementedError

    def epochs(self) -> Sequence[Epoch]:
        """Return the known epochs in the order in which they began; the last is the current one.

        Their first offsets need not rise: an epoch that a restored backup gave up begins behind its follower.
        """
        raise NotImplementedError

    def watch(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Call `grown(head)` soon after any process appends, and `ephemeral(payload)` for announcements.

        Coalesced; a lost announcement costs a slow poll and nothing else. Call it after `open`.
        """
        raise NotImplementedError

    def echo(self, take: Callable[[int, int, Callable[[], list[Record]]], None]) -> None:
        """Give `take(after, next, records)` what this process appends, once it is durable and before `grown`.

        `records()` returns every delivered event of `after < offset <= next`, as `read` would. An offer that a
        store need not make: whoever takes it reads what it is not given. Call it after `open`.
        """

    def announce(self, payload: bytes) -> int:
        """Send a payload of at most 64 KiB to every process's `ephemeral`, this one included.

        Never blocks; returns how many peers were full and did not get it.
        """
        raise NotImplementedError

    def trim(self) -> int:
        """Remove one bounded slice of what `keep` no longer holds; return how many events went."""
        raise NotImplementedError

    def backup(self, path: str) -> None:
        """Write a consistent copy without a current epoch to `path`, while serving."""
        raise NotImplementedError

    def open_ledger(self) -> Ledger:
        """Return the ledger that lives beside this store. Call it after `open`."""
        raise NotImplementedError

    def chain_head(self) -> ChainMark | None:
        """Return the last event in the hash chain and its hash; None while there is none."""
        return None

    def read_chain(self, after: int, limit: int) -> ChainPage | None:
        """Return up to `limit` stored events behind `after` with their hashes; None while there is no chain.

        Whatever is stored is shown, in the chain or not, within the bounds of the history or not: this is
        for who looks for damage. A store that offers a chain numbers its events without holes.
        """
        return None

    def stats(self) -> dict[str, Any]:
        """Return numbers for metrics: `events`, `bytes`, `head`, `trimmed`, and the store's own."""
        raise NotImplementedError
