"""Handed-over sockets, plain and TLS, as the hub sees them."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

from gevent import monkey

# A vanished host is found by keep-alive probes. TCP_USER_TIMEOUT would be wrong here: it also cuts
# a peer that is alive and merely does not read, whom we owe a replay.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))

TLS_RECORD = 16384
_close = monkey.get_original("os", "close")  # gevent's own waits for the loop to come round


class PlainConnection:
    """A descriptor that was detached from its socket object: all that an idle stream keeps."""

    __slots__ = ("_fd", "direct")
    committed = 0

    def __init__(self, sock: socket.socket) -> None:
        """Detach the descriptor; the socket object becomes an empty shell."""
        _keep_alive(sock)
        self._fd = self.direct = sock.detach()
        os.set_blocking(self._fd, False)

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 when closed."""
        return self._fd

    def send(self, data: bytes | memoryview) -> int:
        """Write what fits; 0 when nothing does."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def recv(self, size: int) -> bytes | None:
        """Read what is there; None when nothing is."""
        try:
            return os.read(self._fd, size)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close; may be called more than once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _close(fd)


class TlsConnection:
    """A gevent `SSLSocket` whose OpenSSL object is used directly, without waiting.

    The two private seams (`_sslobj`, `_io_refs`) have a test each. OpenSSL demands that a write that
    could not finish is repeated with the same bytes: `committed` counts them.
    """

    __slots__ = ("_pending", "_sock")
    direct = -1  # what goes out is encrypted first

    def __init__(self, sock: Any) -> None:
        """Hold one reference, so that the worker's own closes only mark the socket closed."""
        _keep_alive(sock)
        sock._io_refs += 1  # noqa: SLF001  # what makefile() does, without its buffer
        self._sock = sock
        self._pending: bytes | None = None  # the bytes of an unfinished write: OpenSSL wants them again

    @property
    def committed(self) -> int:
        """Return how many bytes the next send must begin with, unchanged."""
        return len(self._pending) if self._pending is not None else 0

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 when closed."""
        return -1 if self._sock is None else int(self._sock.fileno())

    def send(self, data: bytes | memoryview) -> int:
        """Write what fits; 0 when nothing does. Begins with the bytes that are committed."""
        done = 0
        view = memoryview(data)
        try:
            while done < len(view):
                if self._pending is None:
                    self._pending = bytes(view[done : done + TLS_RECORD])
                done += self._sock._sslobj.write(self._pending)  # noqa: SLF001
                self._pending = None
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return done
        except ssl.SSLError as error:
            raise ConnectionError(str(error)) from None
        return done

    def recv(self, size: int) -> bytes | None:
        """Read what is there; None when nothing is, `b""` at the end."""
        try:
            return bytes(self._sock._sslobj.read(size))  # noqa: SLF001
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLError as error:
            if error.errno in (ssl.SSL_ERROR_EOF, ssl.SSL_ERROR_ZERO_RETURN):
                return b""
            raise ConnectionError(str(error)) from None

    def close(self) -> None:
        """Close without a TLS goodbye, which could block; every frame ends by itself."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock._decref_socketios()  # noqa: SLF001
            sock.close()


def connection_of(sock: Any) -> PlainConnection | TlsConnection:
    """Take over a worker's socket."""
    return TlsConnection(sock) if isinstance(sock, ssl.SSLSocket) else PlainConnection(sock)


def _keep_alive(sock: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
