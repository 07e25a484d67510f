"""Accepting connections: plain or TLS, with a deadline for the handshake."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import gevent.pool
from gevent.server import StreamServer

from eventstream.server.tls import Certificate
from eventstream.telemetry.log import get_logger

log = get_logger("listener")

ACCEPTED = 8  # connections in one turn of the loop: a storm of new ones must not stop those that are at work
Handle = Callable[[Any, Any, Any], None]


class Listener(StreamServer):  # type: ignore[misc]  # gevent has no types
    """A listening socket that calls `handle(listening socket, client, address)` in a pool's greenlet."""

    def __init__(
        self, sock: Any, handle: Handle, pool: gevent.pool.Pool, certificate: Certificate | None,
        *, handshake: float, share: bool,
    ) -> None:  # fmt: skip
        """With `share`, other processes accept on this socket too: take one connection at a time."""
        if certificate is None or sock.family == socket.AF_UNIX:
            serve = partial(handle, sock)
        else:
            serve = partial(_secure, sock, handle, certificate, handshake)
        super().__init__(sock, handle=serve, spawn=pool)
        self.max_accept = 1 if share else ACCEPTED


def _secure(sock: Any, handle: Handle, certificate: Certificate, seconds: float, client: Any, address: Any) -> None:
    """Do a handshake in bounded time; gevent's own waits for ever and prints tracebacks."""
    tls = None
    try:
        with gevent.Timeout(seconds, False):
            tls = certificate.context.wrap_socket(client, server_side=True)
    except OSError as error:  # ssl.SSLError is one
        log.debug("tls_handshake_failed", client=address[0] if address else "", error=str(error))
    if tls is None:
        client.close()
    else:
        handle(sock, tls, address)
