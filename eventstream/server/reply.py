"""The head of an answer, written once and sent with its body."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

_OURS = frozenset({"connection", "transfer-encoding", "date", "server"})


class Reply:
    """What the app said through `start_response`."""

    __slots__ = ("_headers", "_status", "closing")

    def __init__(self) -> None:
        """Start with nothing said."""
        self._status = ""
        self._headers: Sequence[tuple[str, str]] = ()
        self.closing = False  # the app wants the connection closed

    def start(self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None) -> None:
        """Take status and headers, as WSGI's `start_response`."""
        self._status = status
        self._headers = headers
        for name, value in headers:
            if name.lower() == "connection" and value.lower() == "close":
                self.closing = True

    def head(
        self, *, length: int = 0, keep_alive: bool = False, streamed: bool = False, chunked: bool = False
    ) -> bytes:
        """Return the head's bytes.

        `streamed`: the body follows through other hands, chunked or up to the connection's end. Raises
        ValueError for a header that would write a line of its own.
        """
        upgraded = self._status.startswith("101")
        connection = "upgrade" if upgraded else "keep-alive" if keep_alive else "close"
        lines = [f"HTTP/1.1 {self._status}\r\nServer: eventstream\r\nDate: {_date()}\r\nConnection: {connection}"]
        sized = streamed or self._status[:3] in ("204", "304")
        for name, value in self._headers:
            lower = name.lower()
            if lower in _OURS or (streamed and lower == "content-length"):
                continue
            sized = sized or lower == "content-length"
            lines.append(f"{name}: {value}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if not sized:
            lines.append(f"Content-Length: {length}")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) + 2 or text.count("\r") != len(lines) + 2:
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
