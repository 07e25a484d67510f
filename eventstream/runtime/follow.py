"""Reading the store without the hub: a plain iterator of frames, and the JSON page's wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from eventstream.components.output import Format, Gap, Start
from eventstream.components.store import Page, Store
from eventstream.events.filter import Filter
from eventstream.runtime.sinks import jittered_retry


class Growth:
    """Lets many wait for the store to grow."""

    def __init__(self) -> None:
        """Start with nothing grown."""
        self._changed = threading.Condition()
        self._head = 0
        self._waiting = 0

    def grown(self, head: int) -> None:
        """Wake everybody who waits for more than they have."""
        self._head = max(self._head, head)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def wait(self, after: int, timeout: float) -> None:
        """Return when the store has grown past `after`, or after `timeout` seconds."""
        with self._changed:
            self._waiting += 1  # before the head is looked at: who sets it looks here after that
            try:
                self._changed.wait_for(lambda: self._head > after, timeout)
            finally:
                self._waiting -= 1


def frames(
    store: Store,
    growth: Growth,
    filter: Filter,
    format: Format,
    start: Start,
    *,
    cursor: Callable[[int], str],
    heartbeat: float,
    ended: Callable[[], str | None],
) -> Iterator[bytes]:
    """Yield frames until `ended` gives a reason, and the goodbye: what a server without socket hand-over streams."""
    if start.gap is not None:
        yield format.gap(start.gap)
    place = told = start.offset
    yield format.cursor(cursor(place))
    beat = time.monotonic() + heartbeat
    while (reason := ended()) is None:
        page = store.read(place, 200, filter)
        if place < page.trimmed:
            yield format.gap(Gap(cursor(place), cursor(page.trimmed), "overflow"))
        place = max(page.next, page.trimmed)
        if page.records:
            told = page.records[-1].offset
            yield b"".join(format.event(record, cursor(record.offset)) for record in page.records)
            continue
        if time.monotonic() >= beat:
            yield format.cursor(cursor(place)) if place > told else format.idle()
            told = place
            beat = time.monotonic() + heartbeat
        if page.next >= page.head:
            growth.wait(page.head, min(1.0, max(0.0, beat - time.monotonic())))
    yield format.goodbye(jittered_retry(), reason)


def wait_page(
    store: Store,
    growth: Growth,
    filter: Filter,
    after: int,
    limit: int,
    wait: float,
    *,
    ended: Callable[[], str | None] = lambda: None,
) -> Page:
    """Return the next page with a match, waiting up to `wait` seconds for one, or the first that tells of a gap.

    Once `ended` gives a reason nothing more is read.
    """
    deadline = time.monotonic() + wait
    place = after
    while True:
        page = store.read(place, limit, filter)
        if page.records or page.trimmed > place or (page.next >= page.head and time.monotonic() >= deadline):
            return page
        place = page.next
        if page.next >= page.head:
            growth.wait(page.head, min(1.0, max(0.0, deadline - time.monotonic())))
        if ended() is not None:
            return page
