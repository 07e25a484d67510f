"""What this process has just appended: the hub need not read back what it still has in its hands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter

from eventstream.components.store import Page, Record

MAX_BYTES = 4 << 20  # of events that wait for the hub; beyond them it reads the store


class Echo:
    """One unbroken run of the history, `after < offset <= next`: as the store gave it, so complete."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.after = self.next = 0
        self._records: list[Record] = []
        self._bytes = 0

    def add(self, after: int, next: int, records: Callable[[], list[Record]]) -> None:
        """Take an appended run: see `Store.echo`. One that does not follow begins anew."""
        added = records()
        size = sum(len(record.json) for record in added)
        if after != self.next or self._bytes + size > MAX_BYTES:
            self.after, self._records, self._bytes = after, [], 0
        if size > MAX_BYTES:
            self.after, added, size = next, [], 0
        self.next = next
        self._records += added
        self._bytes += size

    def page(self, place: int, limit: int) -> Page | None:
        """Return what `Store.read` would, and forget it; None when that is not here."""
        if not self.after <= place < self.next:
            return None
        first = bisect_right(self._records, place, key=attrgetter("offset"))
        records, rest = self._records[first : first + limit], self._records[first + limit :]
        self.after = records[-1].offset if rest else self.next
        self._records, self._bytes = rest, sum(len(record.json) for record in rest)
        return Page(records, self.after, self.next, 0)
