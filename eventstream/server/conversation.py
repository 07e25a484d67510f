"""One connection: its requests, one after the other, until it ends or its socket is given away.

Plain requests (`http1.parse_head`) are served here, with one `recv` and one `send` each where the client's
timing allows it. All others go through gunicorn's parser and writer, request by request.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
import gevent.event
from gunicorn import http as gunicorn_http
from gunicorn.http import errors as parse_errors

from eventstream.config.model import Timeouts
from eventstream.http.message import ADMIN, HANDOFF
from eventstream.server.errors import write_problem
from eventstream.server.handoff import Body, GivenAway, Slot, hand_over
from eventstream.server.http1 import MAX_HEAD, Head, parse_head
from eventstream.server.reply import Reply
from eventstream.server.wsgi import App
from eventstream.telemetry.log import get_logger

log = get_logger("conversation")

READ_BYTES = 65536
UNDER_WAY = 0.1  # seconds given, while draining, to a request that was sent before we said that we close
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
LINGER = 1.0  # seconds given to a peer to read a refusal before its unread body resets the connection


class _Ended(Exception):  # a turn of events, not an error
    """The connection has served its last request."""


@dataclass
class Desk:
    """What all conversations of one worker share."""

    app: App
    cfg: Any  # gunicorn's settings
    environ: dict[str, Any]  # what WSGI is told with every request
    unusual: Callable[[Any, Any, Any, Any], None]  # gunicorn's own way to serve: (listener, request, client, peer)
    stopping: gevent.event.Event
    idle: dict[Any, bool] = field(default_factory=dict)  # clients without a request under way -> had one before

    @property
    def timeouts(self) -> Timeouts:
        """How long a peer may take."""
        return self.app.node.settings.server.timeouts


class Conversation:
    """One client's connection to one worker."""

    def __init__(self, desk: Desk, client: Any, listener: Any, peer: Any) -> None:
        """`listener` is the address it came in at, `peer` the client's; a Unix socket has no peer address."""
        self._desk = desk
        self._client = client
        self._listener = listener
        self._peer = peer
        self._timeouts = desk.timeouts
        self._used = False
        self._seen: tuple[bytes, Head] | None = None  # a client's heads are mostly equal to the byte
        self._base = desk.environ | {"REMOTE_ADDR": peer[0] if peer and not isinstance(peer, str | bytes) else ""}
        if isinstance(listener, str) and listener == desk.app.admin_socket:
            self._base[ADMIN] = True

    def run(self) -> None:
        """Serve until the end; whatever the peer does ends here and nowhere else."""
        client = self._client
        try:
            data = b""
            while data or (data := self._await()):
                client.settimeout(self._timeouts.write)
                data = self._serve(data)
                self._used = True
                gevent.sleep(0)  # hot producers must not keep the hub waiting
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
        _linger(client)

    # -- reading ------------------------------------------------------------------------------------

    def _await(self) -> bytes:
        """Wait for the next request's first bytes; nothing when the connection is to end."""
        desk, client = self._desk, self._client
        patience: float = self._timeouts.keep_alive if self._used else self._timeouts.head
        if self._used and desk.stopping.is_set():
            patience = UNDER_WAY
        client.settimeout(patience)
        desk.idle[client] = self._used
        try:
            data: bytes = client.recv(READ_BYTES)
        except TimeoutError:
            return b""
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
        head = self._parse(data[:end]) if end >= 4 else None
        if head is None:
            return self._serve_unusual(data)
        size = end + head.length
        self._answer(head, Body(data[end:size], head.length, self._client, self._timeouts.body), data[size:])
        return data[size:]

    def _parse(self, data: bytes) -> Head | None:
        if self._seen is not None and self._seen[0] == data:
            return self._seen[1]
        head = parse_head(data)
        if head is not None:
            self._seen = (data, head)
        return head

    def _answer(self, head: Head, body: Body, rest: bytes) -> None:
        """Run the app and send its whole answer at once, or give the socket away."""
        slot = Slot()
        environ = {**self._base, **head.environ, "wsgi.input": body, HANDOFF: slot}
        reply = Reply()
        parts = self._desk.app(environ, reply.start)
        if slot.take is not None:
            self._client.sendall(reply.head(streamed=True, chunked=slot.chunked))
            hand_over(self._client, slot, rest)
        content = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
        keep_alive = (
            head.keep_alive
            and not reply.closing
            and not body.left  # what is not read of a body would be taken for the next request
            and not self._desk.stopping.is_set()
        )
        self._client.sendall(reply.head(length=len(content), keep_alive=keep_alive) + content)
        if not keep_alive:
            raise _Ended

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
