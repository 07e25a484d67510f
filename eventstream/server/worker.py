"""The gunicorn worker: gunicorn's strict parser, our connection loop, sockets that can be handed over.

Seams of gunicorn this stands on, each with a test: `RequestParser`, `AsyncWorker.handle_request`,
`is_already_handled` with `StopIteration`, `start_response.__self__`, `GeventWorker.init_process`.
"""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
import gevent.pool
from gevent.socket import wait_read
from gunicorn import http as gunicorn_http
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors as parse_errors
from gunicorn.workers.ggevent import GeventWorker

from eventstream.config.model import Timeouts
from eventstream.errors import EventStreamError
from eventstream.http.message import ADMIN
from eventstream.server.errors import write_problem
from eventstream.server.handoff import Handed, offer
from eventstream.server.listener import Listener
from eventstream.server.loops import Loops
from eventstream.server.tls import Certificate
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("worker")

REPLAYS = 4  # pages of history read at once
UNDER_WAY = 0.1  # seconds given, while draining, to a request that was sent before we said that we close
FIRST_WORD = 1.0  # seconds given, while draining, to a new connection to send its request
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
LINGER = 1.0  # seconds given to a peer to read a refusal before its unread body resets the connection


class _GivenAway(StopIteration):  # gunicorn ends a connection's loop by StopIteration
    """The socket has a new owner: the worker must not touch it any more."""


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
        self.stopping = gevent.event.Event()
        self._idle: dict[Any, bool] = {}  # connections without a request under way -> had one before
        self._loops = Loops(app, self.stopping)
        self.wsgi = self._wrap(app)
        gc.collect()
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
                return Handed(slot.take, start_response.__self__, chunked=slot.chunked)
            if stopping.is_set() or not body.finished:  # the rest of such a body is not read: see _linger
                start_response.__self__.force_close()
            return answer

        return wsgi

    def is_already_handled(self, respiter: Any) -> bool:
        """Hand the socket over where the app asked for it; ends the connection's loop."""
        if type(respiter) is not Handed:
            return bool(super().is_already_handled(respiter))
        respiter.hand_over()
        raise _GivenAway

    # -- one connection ---------------------------------------------------------------------------

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection until it ends or its socket is given away."""
        given_away = False
        try:
            parser = gunicorn_http.get_parser(self.cfg, client, addr)
            address = self._addresses[listener]
            while True:
                if not self._await_request(parser, client):
                    break
                request = None
                with gevent.Timeout(self.timeouts.head, False):
                    request = next(parser)
                if request is None:
                    break
                client.settimeout(self.timeouts.write)
                self.handle_request(address, request, client, addr)
                client.settimeout(None)
        except _GivenAway:
            given_away = True
        except (StopIteration, parse_errors.NoMoreData):
            pass
        except (parse_errors.ParseException, parse_errors.ConfigurationProblem) as error:
            write_problem(client, error, self.app_state.node.bounded)
        except TimeoutError:  # it does not read: what is unsent must not live on in the kernel
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        except OSError as error:  # the peer left; its business
            log.debug("connection_ended", error=str(error))
        except Exception as error:
            fingerprint = self.app_state.node.metrics.error(error)
            log.exception("connection_failed", fingerprint=fingerprint)
        finally:
            if not given_away:
                _linger(client)

    def _await_request(self, parser: Any, client: Any) -> bool:
        """Wait for the next request's first byte; False when the connection is to end."""
        unreader = parser.unreader
        if unreader.buf.tell() or (isinstance(client, ssl.SSLSocket) and client.pending()):
            return True
        used = parser.req_count > 0
        patience: float = self.timeouts.keep_alive if used else self.timeouts.head
        if used and self.stopping.is_set():
            patience = UNDER_WAY
        self._idle[client] = used
        try:
            wait_read(client.fileno(), timeout=patience)
        except TimeoutError:
            return False
        finally:
            del self._idle[client]
        return True

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, then let others run: hot producers must not keep the hub waiting."""
        super().handle_request(listener_name, req, sock, addr)
        gevent.sleep(0)

    # -- the worker's life ------------------------------------------------------------------------

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
        while self.alive:
            self.notify()
            self.stopping.wait(1.0)
        self.stopping.set()
        for listener in listeners:
            listener.close()
        self._drain(pool)

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
        for client, used in list(self._idle.items()):
            if seconds > (UNDER_WAY if used else FIRST_WORD):
                with suppress(OSError):  # the peer was faster
                    client.shutdown(socket.SHUT_RD)  # wakes its greenlet


def _linger(client: Any) -> None:
    """Close so that the peer can read our last words: unread input would make the kernel reset it."""
    try:
        client.shutdown(socket.SHUT_WR)
        client.settimeout(LINGER)
        with gevent.Timeout(LINGER, False):
            while client.recv(65536):
                pass
    except (OSError, ValueError):
        pass  # the peer is gone: nothing is left to be polite about
    finally:
        client.close()
