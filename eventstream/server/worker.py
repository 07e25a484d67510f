"""The gunicorn worker: its life, and what its conversations share.

Seams of gunicorn this stands on, each with a test: `RequestParser`, `AsyncWorker.handle_request`,
`is_already_handled` with `StopIteration`, `start_response.__self__`, `GeventWorker.init_process`.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.event
import gevent.pool
from gunicorn.arbiter import Arbiter
from gunicorn.workers.ggevent import GeventWorker

from eventstream.config.model import Timeouts
from eventstream.errors import EventStreamError
from eventstream.http.exchange import ADMIN
from eventstream.server.conversation import UNDER_WAY, Conversation, Desk, hang_up
from eventstream.server.handoff import Handed, offer
from eventstream.server.listener import Listener
from eventstream.server.loops import Loops
from eventstream.server.tls import Certificate
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("worker")

GARBAGE = 10_000  # objects between two looks for garbage; at 700 most of what is seen belongs to requests under way
SWEEP = 0.2  # seconds; by so much an idle connection may outstay its time
FIRST_WORD = 1.0  # seconds given, while draining, to a new connection to send its request


class EventStreamWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process. Run by `eventstream serve`, or by gunicorn with `create_app`."""

    app_state: App
    wsgi: Any

    def load_wsgi(self) -> None:
        """Build the node: after the fork and gevent's patches, the only safe place for state."""
        # A GIL hand-back from the commit thread waits up to one interval; the default is 5 ms.
        sys.setswitchinterval(0.001)
        try:
            super().load_wsgi()
        except EventStreamError as error:
            log.error("worker_cannot_start", error=str(error))
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        app = self.wsgi
        if not isinstance(app, App):
            raise TypeError("EventStreamWorker serves eventstream.server.wsgi:create_app()")
        self.app_state = app
        self.timeouts: Timeouts = app.node.settings.server.timeouts
        self._loops = Loops(app)
        self.wsgi = self._wrap(app)
        self._desk = Desk(app, self.cfg, self.handle_request, self.stopping)
        gc.collect()
        gc.set_threshold(GARBAGE)
        gc.freeze()  # what lives as long as the worker is not scanned again: full collections cost 1 ms, not 15

    def _wrap(self, app: App) -> Callable[[dict[str, Any], Any], Any]:
        body_seconds = self.timeouts.body
        stopping = self.stopping

        def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes] | Handed:
            slot, body = offer(environ, body_seconds)
            if app.admin_socket is not None and not environ["REMOTE_ADDR"]:
                sock = environ["gunicorn.socket"]  # no address: some Unix socket, which need not be ours
                if sock.family == socket.AF_UNIX and sock.getsockname() == app.admin_socket:
                    environ[ADMIN] = True
            answer = app(environ, start_response)
            if slot.take is not None:
                return Handed(slot, start_response.__self__)
            if stopping.is_set() or not body.finished:  # the rest of such a body is not read: see _linger
                start_response.__self__.force_close()
            return answer

        return wsgi

    def is_already_handled(self, respiter: Any) -> bool:
        """Hand the socket over where the app asked for it; ends the connection's loop."""
        if type(respiter) is not Handed:
            return bool(super().is_already_handled(respiter))
        respiter.hand_over()
        return True

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection until it ends or its socket is given away."""
        Conversation(self._desk, client, self._addresses[listener], addr).run()

    # -- the worker's life ------------------------------------------------------------------------

    def init_signals(self) -> None:
        """Have what a signal sets before one can come: a worker may be told to stop while it boots."""
        self.stopping = gevent.event.Event()
        super().init_signals()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin the drain at once, not at the next look at the clock."""
        super().handle_exit(sig, frame)
        self.stopping.set()

    def run(self) -> None:
        """Serve until told to stop, then drain."""
        certificate = self.app_state.generation.certificate
        if certificate is None and self.cfg.is_ssl:  # gunicorn was given one, not our file
            certificate = Certificate(self.cfg.certfile, self.cfg.keyfile or self.cfg.certfile)
        # Asked once: a drain closes the sockets under connections that they have just accepted.
        self._addresses = {sock: sock.getsockname() for sock in self.sockets}
        pool = gevent.pool.Pool(self.worker_connections)
        listeners = [
            Listener(sock, self.handle, pool, certificate, handshake=self.timeouts.head, share=self.cfg.workers > 1)
            for sock in self.sockets
        ]
        for listener in listeners:
            listener.start()
        self._loops.start(certificate)
        log.info("worker_ready", pid=self.pid, generation=self.app_state.generation.number)
        sweeping = gevent.spawn(self._sweep)
        while self.alive:
            self.notify()
            self.stopping.wait(1.0)
        self.stopping.set()
        sweeping.kill()
        for listener in listeners:
            listener.close()
        self._drain(pool)

    def _sweep(self) -> None:
        while True:
            gevent.sleep(SWEEP)
            self._desk.end_overdue()

    def _drain(self, pool: gevent.pool.Pool) -> None:
        """Answer what is in flight, end the streams cleanly, and give everything back."""
        node = self.app_state.node
        began = time.monotonic()
        node.drain()
        while time.monotonic() < began + node.settings.server.drain and (len(pool) or node.hub.sinks):
            self._end_idle(time.monotonic() - began)
            self.notify()
            gevent.sleep(0.05)
        log.info("drained", requests_cut=len(pool), streams_cut=len(node.hub.sinks))
        pool.kill(block=True, timeout=1.0)
        self._loops.stop()
        node.observe(0.0)
        node.close()

    def _end_idle(self, seconds: float) -> None:
        """End connections that have been idle since the drain began, `seconds` ago."""
        for client, idle in list(self._desk.idle.items()):
            if seconds > (UNDER_WAY if idle.used else FIRST_WORD):
                hang_up(client)
