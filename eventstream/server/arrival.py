"""Waiting for what a peer sends, with one watcher for a connection's life."""

from __future__ import annotations

from typing import Any

import gevent

READ = 1  # libev's number for it


class Arrival:
    """Wakes one greenlet when its socket can be read.

    The watcher stays in the loop between two waits: to take it out and put it back is a system call for each
    request. Only when the peer sends while nobody waits is it taken out, since it would be called again and again.
    """

    def __init__(self, fileno: int) -> None:
        """Watch this socket of the greenlet that calls."""
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(fileno, READ)
        self._waiting: Any = None  # the greenlet
        self._watched = False

    def wait(self) -> None:
        """Return when there is something to read, or the end."""
        if not self._watched:
            self._watched = True
            self._watcher.start(self._arrived)
        self._waiting = gevent.getcurrent()
        try:
            self._hub.switch()
        finally:  # also when it is killed
            self._waiting = None

    def _arrived(self) -> None:
        if self._waiting is None:
            self._watched = False
            self._watcher.stop()
        else:
            self._waiting.switch()

    def close(self) -> None:
        """Take the watcher out of the loop."""
        self._watcher.stop()
        self._watcher.close()
