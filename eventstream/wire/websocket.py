"""WebSocket frames (RFC 6455) without I/O.

What goes out is written here: a server's frames are unmasked, so one frame is encoded once and sent
to every subscriber. What comes in is parsed by wsproto. No extension is ever negotiated: inflating
has no bound there, and a compressed frame could not be shared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent

from eventstream.errors import EventStreamError

# Close codes (RFC 6455 section 7.4.1 and the registry beside it).
NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
NO_STATUS = 1005  # never on the wire: "the peer gave no code"
INVALID_DATA = 1007
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
TRY_AGAIN_LATER = 1013

_FIN = 0x80
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_MASKED = 0x80
_MAX_CONTROL = 125  # bytes in a control frame's payload


class Text(NamedTuple):
    """A whole text message; `data` is its UTF-8, judged already."""

    data: bytes


class Binary(NamedTuple):
    """A whole binary message."""

    data: bytes


class Ping(NamedTuple):
    """The peer asks for a pong with this payload."""

    payload: bytes


class Pong(NamedTuple):
    """The peer answers a ping, or just says that it lives."""

    payload: bytes


class Close(NamedTuple):
    """The peer closes; `code` is 1005 when it gave none. Nothing follows."""

    code: int
    reason: str


Message = Text | Binary | Ping | Pong | Close


class WebSocketError(EventStreamError):
    """The peer broke the protocol or a bound: close with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        """Take a close code and a reason that may be shown to the peer."""
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def text_frame(payload: bytes) -> bytes:
    """Frame a text message; `payload` is UTF-8."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Frame a binary message."""
    return _frame(_BINARY, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    """Frame a ping of at most 125 bytes."""
    return _frame(_PING, payload[:_MAX_CONTROL])


def pong_frame(payload: bytes = b"") -> bytes:
    """Frame a pong of at most 125 bytes."""
    return _frame(_PONG, payload[:_MAX_CONTROL])


def close_frame(code: int = NORMAL, reason: str = "") -> bytes:
    """Frame a close; a longer reason is cut to 123 bytes. Code 1005 writes one without a code."""
    if code == NO_STATUS:
        return _frame(_CLOSE, b"")
    text = reason.encode()[: _MAX_CONTROL - 2].decode(errors="ignore")  # never half a character
    return _frame(_CLOSE, struct.pack("!H", code) + text.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _MAX_CONTROL:
        return bytes((_FIN | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FIN | opcode, 127, size) + payload


class Reader:
    """Turns what a client sends into messages. One per connection; costs next to nothing until used.

    `limit` bounds a message in bytes, however many fragments it comes in.
    """

    __slots__ = ("_connection", "_done", "_limit", "_parts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._connection: Connection | None = None  # 1.8 KiB: made when the first byte arrives
        self._parts: bytearray | None = None  # of a message that is not whole yet
        self._done = False

    def feed(self, data: bytes) -> Iterable[Message]:
        """Take received bytes and return the messages they complete, to be iterated to the end.

        Iterating raises WebSocketError where the peer went wrong, behind the messages it sent
        before. After that, or a Close, everything is ignored.
        """
        if self._done:
            return ()
        if self._connection is None:
            payload = _lone_pong(data)
            if payload is not None:
                return (Pong(payload),)
            self._connection = Connection(ConnectionType.SERVER)
        self._connection.receive_data(data)
        return self._messages(self._connection)

    def _messages(self, connection: Connection) -> Iterator[Message]:
        for event in connection.events():
            if isinstance(event, CloseConnection):
                self._done = True
                self._parts = None
                # wsproto reports its own verdict by the same event, but only a peer's close moves its state.
                if connection.state is ConnectionState.OPEN:
                    raise WebSocketError(int(event.code), _in_our_words(event))
                yield Close(int(event.code), event.reason or "")
                return
            message = self._message(event)
            if message is not None:
                yield message

    def _message(self, event: Event) -> Message | None:
        if isinstance(event, TextMessage):
            whole = self._collect(event.data.encode(), whole=event.message_finished)
            return None if whole is None else Text(whole)
        if isinstance(event, BytesMessage):
            whole = self._collect(bytes(event.data), whole=event.message_finished)
            return None if whole is None else Binary(whole)
        if isinstance(event, PingEvent):
            return Ping(bytes(event.payload))
        if isinstance(event, PongEvent):
            return Pong(bytes(event.payload))
        return None

    def _collect(self, piece: bytes, *, whole: bool) -> bytes | None:
        """Return the message that this piece completes, or keep the piece and return None."""
        if len(piece) + (len(self._parts) if self._parts else 0) > self._limit:
            self._done = True
            self._parts = None
            raise WebSocketError(MESSAGE_TOO_BIG, f"a message is at most {self._limit} bytes")
        if self._parts is None:
            if whole:
                return piece
            self._parts = bytearray()
        self._parts += piece
        if not whole:
            return None
        message = bytes(self._parts)
        self._parts = None
        return message


def _in_our_words(verdict: CloseConnection) -> str:
    return "invalid UTF-8" if verdict.code == INVALID_DATA else verdict.reason or "protocol error"


def _lone_pong(data: bytes) -> bytes | None:
    """Return the payload of a pong that stands alone in `data`, or None.

    A subscriber that only listens sends nothing else, so it never needs a parser of its own.
    """
    if len(data) < 6 or data[0] != _FIN | _PONG or data[1] != _MASKED | (len(data) - 6) or len(data) > 131:
        return None
    mask = data[2:6]
    return bytes(byte ^ mask[i & 3] for i, byte in enumerate(data[6:]))
