"""What runs beside the requests of one worker: the hub, replays, the poller, and a tick a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from eventstream.errors import StoreBusy
from eventstream.server.platform import GeventPlatform
from eventstream.server.tls import Certificate
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("loops")

REPLAYS = 4  # pages of history read at once
TICK = 1.0


class Loops:
    """The greenlets of one node."""

    def __init__(self, app: App) -> None:
        """Take the app; `start` spawns."""
        self._app = app
        self._greenlets: list[Any] = []

    def start(self, certificate: Certificate | None) -> None:
        """Spawn everything. `certificate` is renewed as its files change."""
        node, platform = self._app.node, self._app.platform
        if isinstance(platform, GeventPlatform):
            self._spawn(lambda: platform.poller.run(node.hub))
        self._spawn(node.hub.run)
        for _ in range(REPLAYS):
            self._spawn(node.replay.run)
        self._spawn(self._trim)
        self._spawn(lambda: self._tick(certificate))

    def stop(self) -> None:
        """End everything."""
        self._app.node.hub.stop()
        gevent.killall(self._greenlets, block=True, timeout=2.0)

    def _spawn(self, loop: Callable[[], None]) -> None:
        self._greenlets.append(gevent.spawn(self._guard, loop))

    def _guard(self, loop: Callable[[], None]) -> None:
        """A loop that fails is a bug: it is logged, counted, and goes on."""
        while True:
            try:
                loop()
            except Exception as error:
                fingerprint = self._app.node.metrics.error(error)
                log.exception("loop_failed", fingerprint=fingerprint)
                gevent.sleep(1.0)
            else:
                return

    def _tick(self, certificate: Certificate | None) -> None:
        due = time.monotonic() + TICK
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            late = max(0.0, time.monotonic() - due)
            due = time.monotonic() + TICK
            try:
                self._app.node.observe(late)
            except StoreBusy as trouble:
                log.debug("store_unobservable", error=str(trouble))  # the metrics keep their last values
            if certificate is not None:
                certificate.renew()

    def _trim(self) -> None:
        """Let retention work in slices, with a pause between them for everybody else."""
        while True:
            gevent.sleep(TICK)
            try:
                while self._app.node.store.trim():
                    gevent.sleep(0.02)
            except StoreBusy as trouble:
                log.warning("trim_postponed", error=str(trouble))
