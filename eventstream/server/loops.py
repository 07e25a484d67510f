"""What runs beside the requests of one worker: the hub, replays, the poller, and a tick a second."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import gevent.event

from eventstream.errors import StoreBusy
from eventstream.server.platform import GeventPlatform
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("loops")

REPLAYS = 4  # pages of history read at once
TICK = 1.0


class Loops:
    """The greenlets of one node."""

    def __init__(self, app: App, stopping: gevent.event.Event) -> None:
        """Take the app; `start` spawns."""
        self._app = app
        self._stopping = stopping
        self._greenlets: list[Any] = []

    def start(self, context: ssl.SSLContext | None, cfg: Any) -> None:
        """Spawn everything. `context` gets renewed certificates as they appear."""
        node, platform = self._app.node, self._app.platform
        if isinstance(platform, GeventPlatform):
            self._spawn(lambda: platform.poller.run(node.hub))
        self._spawn(node.hub.run)
        for _ in range(REPLAYS):
            self._spawn(node.replay.run)
        self._spawn(self._trim)
        certificate = Certificate(context, cfg.certfile, cfg.keyfile) if context is not None else None
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


class Certificate:
    """A certificate's files: what is renewed there serves the next handshake, and cuts no stream."""

    def __init__(self, context: ssl.SSLContext, cert: str, key: str) -> None:
        """Take the context that has them loaded."""
        self._context = context
        self._files = (cert, key)
        self._seen = self._stamp()

    def renew(self) -> None:
        """Load the files again when they have changed; a broken pair leaves the old one in force."""
        stamp = self._stamp()
        if stamp == self._seen or None in stamp:
            return
        self._seen = stamp
        try:
            self._context.load_cert_chain(*self._files)
        except (ssl.SSLError, OSError) as error:
            log.error("certificate_not_renewed", error=str(error), file=self._files[0])
        else:
            log.info("certificate_renewed", file=self._files[0])

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
