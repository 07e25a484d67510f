"""How a responder asks for its socket, and how long a request's body may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from eventstream.errors import Reject
from eventstream.http.message import HANDOFF
from eventstream.server.connection import connection_of

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


class Handed:
    """What the WSGI app returns when its socket is to be handed over."""

    __slots__ = ("chunked", "response", "take")

    def __init__(self, take: Take, response: Any, *, chunked: bool) -> None:
        """Keep who takes it and gunicorn's response, whose head is not sent yet."""
        self.take = take
        self.response = response
        self.chunked = chunked

    def hand_over(self) -> None:
        """Send the head and give the socket away.

        Falcon adds `content-length: 0` to a response without a body, which would end it at once.
        """
        response, take = self.response, self.take
        response.force_close()
        response.chunked = self.chunked
        response.headers = [header for header in response.headers if header[0].lower() != "content-length"]
        response.response_length = None
        response.send_headers()
        rest = response.req.unreader.take_buffered()
        connection = connection_of(response.sock)
        try:
            take(connection, rest)
        except BaseException:
            connection.close()  # nobody else owns it now
            raise


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
        late = Reject("the body took too long", status=408, reason="timeout", headers={"Connection": "close"})
        try:
            with gevent.Timeout(self._seconds, late):
                data: bytes = self._body.read(size if size >= 0 else None)
        except TimeoutError:
            raise late from None
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
