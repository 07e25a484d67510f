"""Walking a store's hash chain from its anchor to its end, and naming the first place that is not as it was written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from eventstream.components.chain import ChainMark, ChainPage, Link
from eventstream.components.store import Store
from eventstream.errors import EventStreamError

PAGE = 1000  # events looked at together
Kind = Literal["altered", "missing", "inserted", "reordered", "anchor", "end"]


class Damage(NamedTuple):
    """The first place that is not as it was written."""

    offset: int
    kind: Kind
    detail: str


@dataclass(slots=True)
class Verdict:
    """What a walk has found. Up to `reached`, everything in the chain is as it was written."""

    anchor: ChainMark  # where the chain begins
    reached: ChainMark  # the last event found to be in the chain
    verified: int = 0  # events in the chain
    older: int = 0  # events from before the chain began
    outside: int = 0  # events behind the anchor that are not in the chain
    first_outside: int = 0
    found: int | None = None  # where the hash asked for stands
    damage: Damage | None = None


def verify(store: Store, wanted: bytes | None, progress: Callable[[int, int], None]) -> Verdict:
    """Walk the chain of an open store, which may grow and be trimmed meanwhile, in bounded memory.

    `wanted` is a hash to be found on the way; `progress` is called with the place and the head. Raises
    EventStreamError for a store that keeps no chain.
    """
    page = _read(store, 0)
    walk = _Walk(page, wanted)
    while walk.take(page):
        progress(walk.place, page.head)
        page = _read(store, walk.place)
    return walk.verdict


def _read(store: Store, after: int) -> ChainPage:
    page = store.read_chain(after, PAGE)
    if page is None:
        raise EventStreamError("this store holds no hash chain: add `chain: {}` to the section `store`")
    return page


class _Walk:
    def __init__(self, page: ChainPage, wanted: bytes | None) -> None:
        self.place = 0
        self.verdict = Verdict(page.anchor, page.anchor)
        self._wanted = wanted
        self._look(page.anchor)

    @property
    def _previous(self) -> bytes:
        return self.verdict.reached.hash

    def take(self, page: ChainPage) -> bool:
        """Judge a page; True when there may be more to look at."""
        damage = self._begin(page)
        for index, link in enumerate(page.links):
            damage = damage or self._judge(page, index, link)
            if damage is not None:
                break
            self.place = link.offset
        if damage is None and not page.links:
            damage = self._end(page)
        self.verdict.damage = damage
        return damage is None and bool(page.links)

    def _begin(self, page: ChainPage) -> Damage | None:
        """Follow the anchor, which retention may have moved since the last page."""
        anchor, before = page.anchor, self.verdict.anchor
        if anchor.offset < max(page.trimmed, before.offset):
            return Damage(anchor.offset, "anchor", f"the chain's anchor lies before {max(page.trimmed, before.offset)}")
        if anchor != before and anchor.offset == self.place and anchor.hash != self._previous:
            return Damage(anchor.offset, "anchor", "the chain's anchor has another hash than the event it replaced")
        if anchor.offset > self.place:
            self.verdict.reached = anchor
            self._look(anchor)
        self.verdict.anchor = anchor
        if page.links and page.links[0].offset <= page.trimmed:
            return Damage(page.links[0].offset, "inserted", f"retention had removed everything up to {page.trimmed}")
        self.place = max(self.place, page.trimmed)
        return None

    def _judge(self, page: ChainPage, index: int, link: Link) -> Damage | None:
        if link.offset > page.head:
            return Damage(link.offset, "inserted", f"the history ends at {page.head}")
        if link.offset != self.place + 1:
            return _missing(self.place + 1, link.offset - 1)
        if link.offset <= page.anchor.offset:
            return self._judge_older(link, page.anchor)
        if link.hash is None:
            self.verdict.first_outside = self.verdict.first_outside or link.offset
            self.verdict.outside += 1
        elif link.follow(self._previous) != link.hash:
            return _diagnose(self._previous, link, page.links[index + 1 :])
        else:
            self.verdict.verified += 1
            self.verdict.reached = ChainMark(link.offset, link.hash)
            self._look(self.verdict.reached)
        return None

    def _judge_older(self, link: Link, anchor: ChainMark) -> Damage | None:
        if link.hash is not None:
            return Damage(link.offset, "anchor", f"it was in the chain, which begins behind {anchor.offset} now")
        self.verdict.older += 1
        return None

    def _end(self, page: ChainPage) -> Damage | None:
        if self.place < page.head:
            return _missing(self.place + 1, page.head)
        reached, end = self.verdict.reached, page.end
        if end.hash != reached.hash or (reached != page.anchor and end.offset != reached.offset):
            detail = f"the chain ends with {reached.hash.hex()}, the store noted {end.hash.hex()} at {end.offset}"
            return Damage(reached.offset, "end", detail)
        return None

    def _look(self, mark: ChainMark) -> None:
        if mark.hash == self._wanted:
            self.verdict.found = mark.offset


def _missing(first: int, last: int) -> Damage:
    return Damage(first, "missing", f"nothing is left of {first}" + (f" to {last}" if last > first else ""))


def _diagnose(previous: bytes, link: Link, later: Sequence[Link]) -> Damage:
    """Say what became of a place whose event does not fit its hash, as far as the events soon behind it tell."""
    hashes = {link.offset: link.hash} | {other.offset: other.hash for other in later}
    for other in later:
        proper = other._replace(offset=link.offset).follow(previous)
        if proper not in (link.hash, other.hash):
            continue
        before = proper if other.offset == link.offset + 1 else hashes.get(other.offset - 1)
        back = link._replace(offset=other.offset).follow(before or b"")
        if back in (link.hash, other.hash):
            return Damage(link.offset, "reordered", f"it and {other.offset} have changed places")
        return Damage(link.offset, "inserted", f"what belongs here stands at {other.offset}")
    return Damage(link.offset, "altered", "it is not the event that was stored here")
