"""The two worlds a node runs in: gevent's (our worker), and plain calls (any other WSGI server)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub, monkey

from eventstream.runtime.sink import Sink
from eventstream.server.poller import Poller


class GeventPlatform:
    """Real time, gevent's loop, and its native thread pool."""

    def __init__(self) -> None:
        """Create the poller; call it in the worker, after the fork."""
        self.poller = Poller()
        self.watch = self.poller.watch
        self.unwatch = self.poller.unwatch
        self.now = time.time
        self.monotonic = time.monotonic

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run a blocking native call in the thread pool, and raise here what it raises there."""
        value, error = get_hub().threadpool.apply(_caught, (call,))
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error  # its traceback holds this frame

    def pause(self) -> None:
        """Let other greenlets run."""
        gevent.sleep(0)


def _caught(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return an error instead of raising it: the pool would print it on standard error as well."""
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001  # raised again by the caller
        return None, error


class PlainPlatform:
    """Direct calls, for servers whose requests run in threads of their own; sockets are never handed over."""

    def __init__(self) -> None:
        """Take the system's clocks."""
        self.now = time.time
        self.monotonic = time.monotonic

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run it here."""
        return call()

    def pause(self) -> None:
        """Let other threads run."""
        time.sleep(0)

    def watch(self, sink: Sink) -> None:
        """Refuse: only our worker hands sockets over."""
        raise RuntimeError("no socket is handed over here")

    def unwatch(self, sink: Sink) -> None:
        """Do nothing: nothing was watched."""


def current_platform() -> GeventPlatform | PlainPlatform:
    """Return the platform of this process: gevent's where its patches are in force."""
    return GeventPlatform() if monkey.is_module_patched("threading") else PlainPlatform()
