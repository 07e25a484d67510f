"""One epoll for all handed-over sockets: to see a peer leave, speak, or have room again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub, monkey

from eventstream.telemetry.log import get_logger

if TYPE_CHECKING:
    from eventstream.runtime.hub import Hub
    from eventstream.runtime.sink import Sink

log = get_logger("poller")

# gevent takes epoll out of `select`; this one is only ever asked with timeout 0.
_epoll = monkey.get_original("select", "epoll")
_IN, _OUT, _ERR, _HUP, _RDHUP, _ET = 0x001, 0x004, 0x008, 0x010, 0x2000, 1 << 31
EVENTS = 64  # in one turn of the loop: each may write 64 KiB to a socket that has drained


class Poller:
    """Edge-triggered: a descriptor is registered once, and a full socket reports its room by itself."""

    def __init__(self) -> None:
        """Create the epoll; call it after the fork."""
        self._epoll = _epoll()
        self._sinks: dict[int, Sink] = {}
        self._reading: set[Sink] = set()

    def watch(self, sink: Sink) -> None:
        """Poll a connection."""
        fd = sink.connection.fileno()
        self._sinks[fd] = sink
        self._epoll.register(fd, _IN | _OUT | _RDHUP | _ET)

    def unwatch(self, sink: Sink) -> None:
        """Poll it no more; called before it is closed, since its number may be used again at once."""
        fd = sink.connection.fileno()
        if self._sinks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def run(self, hub: Hub) -> None:
        """Report to the hub for ever. One gevent watcher stands for all descriptors."""
        watcher: Any = get_hub().loop.io(self._epoll.fileno(), 1)
        while True:
            get_hub().wait(watcher)
            events = self._epoll.poll(0, EVENTS)
            while events:
                for fd, mask in events:
                    self._report(hub, fd, mask)
                gevent.sleep(0)
                events = self._epoll.poll(0, EVENTS)

    def _report(self, hub: Hub, fd: int, mask: int) -> None:
        sink = self._sinks.get(fd)
        if sink is None:
            return
        if mask & (_ERR | _HUP):
            hub.sinks.lose(sink, "reset")
            return
        if mask & _OUT:
            hub.writable(sink)
        if mask & (_IN | _RDHUP) and not sink.closed and sink not in self._reading:
            if sink.on_received is None and not hub.read(sink):
                return  # as good as always: it has left, or sent one word that nobody wants
            self._reading.add(sink)
            gevent.spawn(self._read, hub, sink)

    def _read(self, hub: Hub, sink: Sink) -> None:
        """Read to the end in a greenlet of its own: an output that listens may block, a peer may never cease.

        One at a time for each sink; while it is at work nothing more is read, which slows the peer.
        """
        try:
            while hub.read(sink):
                gevent.sleep(0)
        except Exception as error:
            fingerprint = hub.metrics.error(error)
            log.exception("input_failed", output=sink.output, fingerprint=fingerprint)
            hub.sinks.lose(sink, "failed")
        finally:
            self._reading.discard(sink)
