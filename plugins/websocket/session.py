"""One WebSocket connection: what both subprotocols share."""

from contextlib import suppress
from typing import Protocol

from eventstream import Connection, Delivery, Reject, Request, Sink, StepError, StoreBusy
from eventstream.wire.websocket import (
    GOING_AWAY,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    UNSUPPORTED_DATA,
    Binary,
    Close,
    Message,
    Ping,
    Reader,
    Text,
    WebSocketError,
    close_frame,
    ping_frame,
    pong_frame,
)

PING = ping_frame()


class Bounds(Protocol):
    """The part of the output's settings that a session needs."""

    @property
    def heartbeat(self) -> float:
        """Seconds of silence."""

    @property
    def message(self) -> int:
        """Bytes in one inbound message."""

    @property
    def subscriptions(self) -> int:
        """Subscriptions on one connection."""

    @property
    def batch(self) -> int:
        """Events in one publish message."""


class Session:
    """A connection from its adoption to its end. Small: there are thousands, mostly idle."""

    __slots__ = ("bounds", "client", "delivery", "identity", "reader", "sink")

    def __init__(self, delivery: Delivery, bounds: Bounds, request: Request) -> None:
        """Take what the handshake told; nothing is sent yet."""
        self.delivery = delivery
        self.bounds = bounds
        self.client = request.client
        self.identity = request.identity
        self.reader = Reader(bounds.message)
        self.sink: Sink | None = None

    def take(self, connection: Connection, early: bytes) -> None:
        """Adopt the connection; `early` was sent by the client right behind its handshake."""
        self.sink = self.delivery.hub.adopt(
            connection,
            output="websocket",
            heartbeat=self.bounds.heartbeat,
            goodbye=self.goodbye,
            received=self.received,
            idle=idle,
            closed=self.closed,
            identity=self.identity,
        )
        self.opened(self.sink)
        if early:
            self.received(early)

    def turn_away(self, connection: Connection, early: bytes) -> None:
        """Close at once: a WebSocket client is told by a close code what a status cannot tell it."""
        retry = self.delivery.retry()
        code = GOING_AWAY if self.delivery.draining else TRY_AGAIN_LATER
        with suppress(ConnectionError):  # gone already: nobody is left to tell
            connection.send(self.farewell(retry, code))
        connection.close()

    def opened(self, sink: Sink) -> None:
        """Begin what this subprotocol begins by itself."""

    def text(self, data: bytes) -> None:
        """Act on one text message (UTF-8)."""
        raise NotImplementedError

    def goodbye(self, retry: float, reason: str = "") -> bytes:
        """Frame the end: the server goes away, or the credential counts no more."""
        return self.farewell(retry, GOING_AWAY, reason)

    def farewell(self, retry: float, code: int, reason: str = "") -> bytes:
        """Frame the close: come back in about `retry` seconds."""
        return farewell(retry, code, reason)

    def received(self, data: bytes) -> None:
        """Act on what the peer sent, one message at a time. Nothing counts once we have closed."""
        if self.sink is None:
            return
        try:
            for message in self.reader.feed(data):
                self._act(message)
                if self.sink is None:
                    return
        except WebSocketError as error:
            self.end(error.code, error.reason)

    def _act(self, message: Message) -> None:
        if isinstance(message, Text):
            self.text(message.data)
            self.delivery.pause()
        elif isinstance(message, Binary):
            raise WebSocketError(UNSUPPORTED_DATA, "send JSON in text messages")
        elif isinstance(message, Ping):
            self.write(pong_frame(message.payload))
        elif isinstance(message, Close):
            self.end(message.code)

    def write(self, frame: bytes) -> None:
        """Send a frame, unless the connection has ended."""
        if self.sink is not None:
            self.sink.write(frame)

    def end(self, code: int, reason: str = "") -> None:
        """Close with this code; whatever the peer sends from now on is ignored."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.end(close_frame(code, reason))

    def closed(self) -> None:
        """Forget the connection, which is gone."""
        self.sink = None


def idle() -> bytes:
    """Frame the heartbeat that carries nothing."""
    return PING


def farewell(retry: float, code: int = GOING_AWAY, reason: str = "") -> bytes:
    """Frame the close of a server that goes away, or has no room, or no longer knows the credential."""
    if reason:
        return close_frame(POLICY_VIOLATION, f"the credential is {reason}")
    return close_frame(code, f"come back in {retry:.1f} s")


def refusal(error: Reject | StoreBusy | StepError) -> Reject:
    """Return what the peer is told of a failed publish; details that are not its business stay here."""
    if isinstance(error, StoreBusy):
        return Reject(
            "the server cannot take events right now; nothing was stored",
            status=503,
            reason="busy",
            headers={"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, StepError):
        return Reject("a step of the pipeline failed; nothing was stored", status=500, reason="step", step=error.step)
    return error
