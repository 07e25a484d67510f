"""Bringing subscribers on from the store, page by page, until the shared tail takes over.

Pages are aligned, so that subscribers who resume from near places read and frame the same page
once. Several `run` loops (greenlets in the worker) bound how many reads are under way.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from eventstream.errors import StoreBusy
from eventstream.runtime.group import Group
from eventstream.runtime.hub import POLL, Hub
from eventstream.runtime.sink import Subscriber
from eventstream.runtime.sinks import Platform
from eventstream.runtime.tail import Chunk
from eventstream.telemetry.log import get_logger

log = get_logger("replay")

PAGE = 512  # events; also what pages are aligned to
CACHE_BYTES = 8 << 20
SKIPPED = 1000  # places that a page without a match may skip before the subscriber is told its place


class ReplayPage(NamedTuple):
    """A page framed for one group."""

    chunk: Chunk
    trimmed: int


class Replay:
    """Serves the hub's `catch_up.behind` queue."""

    def __init__(self, hub: Hub, platform: Platform) -> None:
        """Share the hub's store."""
        self._hub = hub
        self._platform = platform
        self._pages: OrderedDict[tuple[object, int], ReplayPage] = OrderedDict()
        self._bytes = 0

    def run(self) -> None:
        """Serve until the hub stops. Run as many of these as reads may be under way."""
        hub = self._hub
        while not hub.stopped:
            queue = hub.catch_up
            if not queue.behind:
                queue.more_behind.clear()
                queue.more_behind.wait(POLL)
                continue
            subscriber = queue.behind.popleft()
            try:
                self.serve(subscriber)
            except StoreBusy as trouble:
                log.error("store_unreadable", error=str(trouble))
                queue.behind.append(subscriber)
                queue.more_behind.clear()
                queue.more_behind.wait(POLL)
            except Exception:
                hub.sinks.lose(subscriber.sink, "failed")  # nobody else would bring it on; it comes back
                raise
            self._platform.pause()

    def serve(self, subscriber: Subscriber) -> None:
        """Send a subscriber one page, and pass it on."""
        hub, group = self._hub, subscriber.group
        if group is None or subscriber.sink.closed or subscriber.sink.blocked_at or subscriber in group.live:
            return
        if subscriber.place >= hub.tail.start:
            hub.catch_up.resume(subscriber)
            return
        page = self._page(group, subscriber.place)
        # Reading let others run: look again before anything is sent.
        sink = subscriber.sink
        if subscriber.group is None or sink.closed or sink.blocked_at or subscriber in group.live:
            return
        if subscriber.place < page.trimmed:
            hub.gap(subscriber, page.trimmed)
            if sink.closed or sink.blocked_at:
                return
        hub.metrics.replayed(len(page.chunk.offsets))
        hub.catch_up.advance(subscriber, page.chunk)

    def _page(self, group: Group, place: int) -> ReplayPage:
        """Return a page that leads on from `place`: a shared one if there is, else one of its own."""
        for begin in (place - place % PAGE, place):
            page = self._pages.get((group.key, begin))
            if page is None:
                page = self._read(group, begin)
                self._keep((group.key, begin), page)
            if page.chunk.next > place or page.trimmed > place:
                return page
        return self._read(group, place)  # what was kept had reached the head of its time

    def _read(self, group: Group, place: int) -> ReplayPage:
        page = self._hub.store.read(place, PAGE, group.filter)
        frames = [group.format.event(record, self._hub.cursor(record.offset)) for record in page.records]
        ends: list[int] = []
        size = 0
        for frame in frames:
            size += len(frame)
            ends.append(size)
        offsets = [record.offset for record in page.records]
        data = b"".join(frames)
        if not frames and page.next - place >= SKIPPED:
            data = group.format.cursor(self._hub.cursor(page.next))
            ends, offsets = [len(data)], [page.next]
        return ReplayPage(Chunk(data, ends, offsets, page.next), page.trimmed)

    def _keep(self, key: tuple[object, int], page: ReplayPage) -> None:
        old = self._pages.pop(key, None)  # another reader was as quick
        self._bytes -= len(old.chunk.data) if old is not None else 0
        self._pages[key] = page
        self._bytes += len(page.chunk.data)
        while self._bytes > CACHE_BYTES or len(self._pages) > 1024:
            _, old = self._pages.popitem(last=False)
            self._bytes -= len(old.chunk.data)
