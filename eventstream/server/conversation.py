"""One connection: its requests, one after the other, until it ends or its socket is given away.

Plain requests (`http1.parse_head`) are served here, with one `recv` and one `send` each where the client's
timing allows it. All others go through gunicorn's parser and writer, request by request.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gevent
import gevent.event
from gunicorn import http as gunicorn_http
from gunicorn.http import errors as parse_errors

from eventstream.config.model import Timeouts
from eventstream.http.exchange import ADMIN, Visitor, facts_of
from eventstream.server.arrival import Arrival
from eventstream.server.errors import write_problem
from eventstream.server.handoff import Body, GivenAway, hand_over
from eventstream.server.http1 import MAX_HEAD, Head, parse_head
from eventstream.server.reply import head_of
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("conversation")

READ_BYTES = 65536
UNDER_WAY = 0.1  # seconds given, while draining, to a request that was sent before we said that we close
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
LINGER = 1.0  # seconds given to a peer to read a refusal before its unread body resets the connection


class _Ended(Exception):  # a turn of events, not an error
    """The connection has served its last request."""


class Idle(NamedTuple):
    """A client we wait for."""

    used: bool  # it has sent a request before
    until: float  # on the clock of `time.monotonic`


@dataclass
class Desk:
    """What all conversations of one worker share."""

    app: App
    cfg: Any  # gunicorn's settings
    unusual: Callable[[Any, Any, Any, Any], None]  # gunicorn's own way to serve: (listener, request, client, peer)
    stopping: gevent.event.Event
    idle: dict[Any, Idle] = field(default_factory=dict)  # clients without a request under way

    @property
    def timeouts(self) -> Timeouts:
        """How long a peer may take."""
        return self.app.node.settings.server.timeouts

    def end_overdue(self) -> None:
        """End the connections that have been idle for too long. One sweep costs less than a timer for each."""
        now = time.monotonic()
        for client, idle in list(self.idle.items()):
            if now >= idle.until:
                hang_up(client)


def hang_up(client: Any) -> None:
    """Wake the conversation that waits for this client as if it had said its last word."""
    with suppress(OSError):  # the peer was faster
        socket.socket.shutdown(client, socket.SHUT_RD)  # not its own, which takes TLS off first


class Conversation:
    """One client's connection to one worker."""

    def __init__(self, desk: Desk, client: Any, listener: Any, peer: Any) -> None:
        """`listener` is the address it came in at, `peer` the client's; a Unix socket has no peer address."""
        self._desk = desk
        self._client = client
        self._listener = listener
        self._peer = peer
        self._timeouts = desk.timeouts
        self._arrival = Arrival(client.fileno())
        self._pending: Callable[[], int] | None = client.pending if isinstance(client, ssl.SSLSocket) else None
        self._used = False
        self._seen: tuple[bytes, Head, Visitor] | None = None  # a client's heads are mostly equal to the byte
        self._base = {"REMOTE_ADDR": peer[0] if peer and not isinstance(peer, str | bytes) else ""}
        if isinstance(listener, str) and listener == desk.app.admin_socket:
            self._base[ADMIN] = listener

    def run(self) -> None:
        """Serve until the end; whatever the peer does ends here and nowhere else."""
        client = self._client
        try:
            client.settimeout(self._timeouts.write)
            data = b""
            while data or (data := self._await()):
                data = self._serve(data)
                self._used = True
                if data:
                    gevent.sleep(0)  # a producer that sends ahead must not keep the hub waiting
        except GivenAway:
            return
        except (_Ended, StopIteration, parse_errors.NoMoreData):
            pass
        except (parse_errors.ParseException, parse_errors.ConfigurationProblem) as error:
            write_problem(client, error, self._desk.app.node.bounded)
        except TimeoutError:  # it does not read: what is unsent must not live on in the kernel
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        except OSError as error:  # the peer left; its business
            log.debug("connection_ended", error=str(error))
        except Exception as error:
            fingerprint = self._desk.app.node.metrics.error(error)
            log.exception("connection_failed", fingerprint=fingerprint)
        finally:
            self._arrival.close()
        _linger(client)

    # -- reading ------------------------------------------------------------------------------------

    def _await(self) -> bytes:
        """Wait for the next request's first bytes; nothing when the connection is to end."""
        desk, client = self._desk, self._client
        patience: float = self._timeouts.keep_alive if self._used else self._timeouts.head
        if self._used and desk.stopping.is_set():
            patience = UNDER_WAY
        desk.idle[client] = Idle(self._used, time.monotonic() + patience)
        try:
            if self._pending is None or not self._pending():
                self._arrival.wait()  # rather than a `recv` in vain, and a timer
            data: bytes = client.recv(READ_BYTES)
        finally:
            del desk.idle[client]
        return data

    def _read_head(self, data: bytes) -> bytes:
        """Read on until the head is whole, or gunicorn's to judge: too long, or with bare line ends."""
        with gevent.Timeout(self._timeouts.head, False):
            while b"\r\n\r\n" not in data and len(data) <= MAX_HEAD and data.count(b"\n") == data.count(b"\r\n"):
                part = self._client.recv(READ_BYTES)
                if not part:
                    raise _Ended
                data += part
            return data
        raise _Ended

    # -- serving ------------------------------------------------------------------------------------

    def _serve(self, data: bytes) -> bytes:
        """Serve one request; return what was read behind it."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            data = self._read_head(data)
            end = data.find(b"\r\n\r\n") + 4
        known = self._parse(data[:end]) if end >= 4 else None
        if known is None:
            return self._serve_unusual(data)
        head, visitor = known
        size = end + head.length
        rest = data[size:]
        self._answer(head, visitor, Body(data[end:size], head.length, self._client, self._timeouts.body), rest)
        return rest

    def _parse(self, data: bytes) -> tuple[Head, Visitor] | None:
        if self._seen is None or self._seen[0] != data:
            head = parse_head(data)
            if head is None:
                return None
            self._seen = (data, head, self._desk.app.site.visitor(facts_of(self._base | head.environ)))
        return self._seen[1:]

    def _answer(self, head: Head, visitor: Visitor, body: Body, rest: bytes) -> None:
        """Let the site answer and send it all at once, or give the socket away."""
        site = self._desk.app.site
        response = site.answer(site.open(visitor, body))
        if response.take is not None:
            self._send(head_of(response, streamed=True))
            hand_over(self._client, response.take, rest)
        keep_alive = (
            head.keep_alive
            and response.headers.get("connection") != "close"
            and not body.left  # what is not read of a body would be taken for the next request
            and not self._desk.stopping.is_set()
        )
        content = b"" if visitor.facts.method == "HEAD" else response.body
        self._send(head_of(response, keep_alive=keep_alive) + content)
        if not keep_alive:
            raise _Ended

    def _send(self, data: bytes) -> None:
        sent = self._client.send(data)  # nearly always all of it
        if sent < len(data):
            self._client.sendall(memoryview(data)[sent:])

    def _serve_unusual(self, data: bytes) -> bytes:
        """Let gunicorn judge and serve one request."""
        desk = self._desk
        parser = gunicorn_http.get_parser(desk.cfg, self._client, self._peer)
        parser.unreader.unread(data)
        request = None
        with gevent.Timeout(self._timeouts.head, False):
            request = next(parser)
        if request is None:
            raise _Ended
        desk.unusual(self._listener, request, self._client, self._peer)
        if not parser.finish_body():
            raise _Ended
        rest: bytes = parser.unreader.take_buffered()
        return rest


def _linger(client: Any) -> None:
    """Close so that the peer can read our last words: unread input would make the kernel reset it."""
    try:
        client.shutdown(socket.SHUT_WR)
        client.settimeout(LINGER)
        with gevent.Timeout(LINGER, False):
            while client.recv(READ_BYTES):
                pass
    except (OSError, ValueError):
        pass  # the peer is gone: nothing is left to be polite about
    finally:
        client.close()
