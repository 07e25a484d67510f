"""How a responder asks for its socket, and how long a request's body may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from eventstream.errors import Reject
from eventstream.http.exchange import HANDOFF
from eventstream.server.connection import connection_of

READ_BYTES = 1 << 20
Take = Callable[[Any, bytes], None]


class Slot:
    """`environ["eventstream.handoff"]`: called with `take` by a responder that wants the socket."""

    __slots__ = ("chunked", "take")

    def __init__(self) -> None:
        """Start with no wish."""
        self.take: Take | None = None
        self.chunked = False

    def __call__(self, take: Take, *, chunked: bool) -> None:
        """Ask for the socket; `take(connection, bytes already read)` runs once the head is sent."""
        self.take = take
        self.chunked = chunked


class GivenAway(StopIteration):  # gunicorn ends a connection's loop by StopIteration
    """The socket has a new owner: the worker must not touch it any more."""


class Handed:
    """What the WSGI app returns through gunicorn when its socket is to be handed over."""

    __slots__ = ("response", "slot")

    def __init__(self, slot: Slot, response: Any) -> None:
        """Keep who takes it and gunicorn's response, whose head is not sent yet."""
        self.slot = slot
        self.response = response

    def hand_over(self) -> None:
        """Send the head and give the socket away; raises GivenAway.

        Falcon adds `content-length: 0` to a response without a body, which would end it at once.
        """
        response = self.response
        response.force_close()
        response.chunked = self.slot.chunked
        response.headers = [header for header in response.headers if header[0].lower() != "content-length"]
        response.response_length = None
        response.send_headers()
        hand_over(response.sock, self.slot.take, response.req.unreader.take_buffered())


def hand_over(client: Any, take: Take | None, rest: bytes) -> None:
    """Give a socket, whose head is sent, to who asked for it; raises GivenAway."""
    if take is None:
        raise ValueError("nobody asked for this socket")
    connection = connection_of(client)
    try:
        take(connection, rest)
    except BaseException:
        connection.close()  # nobody else owns it now
        raise
    raise GivenAway


def late() -> Reject:
    """Return the refusal of a body that does not come in time."""
    return Reject("the body took too long", status=408, reason="timeout", headers={"Connection": "close"})


class Body:
    """`wsgi.input` of a known length: what has come with the head, and what is still on its way."""

    __slots__ = ("_client", "_come", "_seconds", "left")

    def __init__(self, come: bytes, length: int, client: Any, seconds: float) -> None:
        """Bound waiting for the rest to `seconds` in all."""
        self._come = come
        self._client = client
        self._seconds = seconds
        self.left = length - len(come)  # bytes not read from the connection

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, fewer only at the end; raises Reject 408 when the sender is too slow."""
        wanted = len(self._come) + self.left
        if 0 <= size < wanted:
            wanted = size
        if wanted > len(self._come):
            self._fetch(wanted)
        data, self._come = self._come[:wanted], self._come[wanted:]
        return data

    def _fetch(self, wanted: int) -> None:
        parts, have = [self._come], len(self._come)
        refusal = late()
        try:
            with gevent.Timeout(self._seconds, refusal):
                while have < wanted and (part := self._client.recv(min(self.left, READ_BYTES))):
                    parts.append(part)
                    have += len(part)
                    self.left -= len(part)
        except TimeoutError:
            raise refusal from None
        self._come = b"".join(parts)


class BoundedInput:
    """`wsgi.input` with a deadline, which gunicorn has not, and an eye on what is left unread."""

    __slots__ = ("_body", "_left", "_seconds", "finished")

    def __init__(self, body: Any, seconds: float, *, length: int | None) -> None:
        """Bound each read of `body` to `seconds`; `length` is None for a chunked one."""
        self._body = body
        self._seconds = seconds
        self._left = length
        self.finished = length == 0  # nothing of the body is left on the connection

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; raises Reject 408 when the sender is too slow."""
        refusal = late()
        try:
            with gevent.Timeout(self._seconds, refusal):
                data: bytes = self._body.read(size if size >= 0 else None)
        except TimeoutError:
            raise refusal from None
        if self._left is not None:
            self._left -= len(data)
        self.finished = self._left == 0 or size < 0 or len(data) < size
        return data


def offer(environ: dict[str, Any], body_seconds: float) -> tuple[Slot, BoundedInput]:
    """Put the slot and the bounded input into a request's environ."""
    slot = environ[HANDOFF] = Slot()
    length = None if "HTTP_TRANSFER_ENCODING" in environ else int(environ.get("CONTENT_LENGTH") or 0)
    bounded = environ["wsgi.input"] = BoundedInput(environ["wsgi.input"], body_seconds, length=length)
    return slot, bounded
