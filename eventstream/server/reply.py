"""The head of an answer, written once and sent with its body."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from eventstream.components.output import Response

_OURS = frozenset({"connection", "transfer-encoding", "date", "server", "content-length"})
_BODILESS = frozenset({101, 204, 304})
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def head_of(response: Response, *, keep_alive: bool = False, streamed: bool = False) -> bytes:
    """Return the bytes of an answer's head; header names are lower-case.

    `streamed`: the body follows through other hands, chunked or up to the connection's end. Raises
    ValueError for a header that would write a line of its own.
    """
    status = response.status
    connection = "upgrade" if status == 101 else "keep-alive" if keep_alive else "close"
    lines = [
        f"HTTP/1.1 {_STATUS.get(status) or f'{status} Unknown'}",
        f"Server: eventstream\r\nDate: {_date()}\r\nConnection: {connection}",
        *[f"{name}: {value}" for name, value in response.headers.items() if name not in _OURS],
    ]
    if streamed:
        if response.chunked:
            lines.append("Transfer-Encoding: chunked")
    elif status not in _BODILESS:
        lines.append(f"Content-Length: {len(response.body)}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header of the answer holds a line end")
    return f"{text}\r\n\r\n".encode("latin-1")


_dated = (0, "")


def _date() -> str:
    """Return the Date header's value, made once a second."""
    global _dated  # noqa: PLW0603  # one value for the whole process
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True))
    return _dated[1]
