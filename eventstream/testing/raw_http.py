"""HTTP/1.1 by hand, for tests that say exactly which bytes go out and see which come back."""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import Any, NamedTuple, Self

CHUNK = 65536


class Reply(NamedTuple):
    """One response. Header names are lower-case; a repeated one keeps its last value."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)


class RawClient:
    """One connection to a server on this machine; use it as a context manager."""

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, seconds: float = 10.0, receive_buffer: int = 0
    ) -> None:
        """Connect. No wait is longer than `seconds`; a small `receive_buffer` makes a slow reader."""
        self.socket: socket.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""
        self._chunks: bytes | None = None  # of a chunked body: what is received and not yet unwrapped

    def __enter__(self) -> Self:
        """Return the open connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(self, method: str, target: str, *headers: str, body: bytes = b"") -> None:
        """Send a proper request; `Content-Length` is added when there is a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def head(self) -> Reply:
        """Read a response's head; its body stays to be read, and is unwrapped when it is chunked."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        if headers.get("transfer-encoding") == "chunked":
            self._chunks, self._buffer = self._buffer, b""
            self._unwrap()
        return Reply(int(head[0].split(" ")[1]), headers, b"")

    def reply(self, *, bodiless: bool = False) -> Reply:
        """Read a whole response, by its Content-Length, or to the end when it has none."""
        head = self.head()
        if bodiless or head.status in {204, 304} or head.status < 200:
            return head
        length = head.headers.get("content-length")
        return head._replace(body=self.read_to_end() if length is None else self.read(int(length)))

    def read(self, size: int) -> bytes:
        """Read exactly this many bytes; raises EOFError when the server ends first."""
        while len(self._buffer) < size:
            self._fill()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_until(self, end: bytes) -> bytes:
        """Read up to and with `end`; raises EOFError when the server ends first."""
        while end not in self._buffer:
            self._fill()
        return self.read(self._buffer.index(end) + len(end))

    def read_to_end(self) -> bytes:
        """Read until the server closes; a reset counts as the end."""
        try:
            while True:
                self._fill()
        except (EOFError, ConnectionResetError):
            data, self._buffer = self._buffer, b""
            return data

    def seconds_until_closed(self) -> float:
        """Return how long it takes until the server closes; raises TimeoutError when it does not."""
        began = time.monotonic()
        self.read_to_end()
        return time.monotonic() - began

    def _fill(self) -> None:
        data = self.socket.recv(CHUNK)
        if not data:
            raise EOFError(f"the server closed after {self._buffer[:200]!r}")
        if self._chunks is None:
            self._buffer += data
        else:
            self._chunks += data
            self._unwrap()

    def _unwrap(self) -> None:
        """Move every whole chunk to the buffer; the last one is empty, and the server closes behind it."""
        while self._chunks:
            size, line, rest = self._chunks.partition(b"\r\n")
            length = int(size, 16) if line else 0
            if not line or len(rest) < length + 2:
                return
            self._buffer += rest[:length]
            self._chunks = rest[length + 2 :]
