"""The output `websocket`: events over RFC 6455, in one of two subprotocols.

`cloudevents.json` is the CloudEvents WebSocket binding: the URL's query says what to subscribe to,
each message is one CloudEvent. `eventstream.v1` adds several subscriptions on one connection,
publishing with receipts, and resuming per subscription. Without an offered subprotocol the
connection is served as `cloudevents.json`. `docs/reference/websocket.md` shows every message.

Close codes: 1000 answers the client's close; 1001 the server drains, come back; 1002 broken
protocol; 1003 binary message; 1007 invalid UTF-8; 1008 a bound was passed, or the
credential has expired or is revoked; 1009 message too big;
1013 the server is full, come back later.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from eventstream import (
    Config,
    Delivery,
    Duration,
    Meta,
    Output,
    Request,
    Response,
    Services,
    Size,
    hookimpl,
)
from eventstream.wire.websocket_handshake import accept, is_upgrade
from eventstream_plugins.websocket import cloudevents, v1
from eventstream_plugins.websocket.session import Session


class Settings(Config, frozen=True):
    """Where the output listens, and its bounds."""

    path: Annotated[str, Meta(pattern="^/", description="URL path of the WebSocket")] = "/events/ws"
    heartbeat: Annotated[
        Duration, Meta(description="silence after which the server pings or tells the place", examples=["25s"])
    ] = Duration(25)
    message: Annotated[
        Size, Meta(description="largest message a client may send; a larger one is closed with 1009", examples=["1MiB"])
    ] = Size(2**20)
    subscriptions: Annotated[int, Meta(ge=1, description="subscriptions on one connection; one more is 1008")] = 16
    batch: Annotated[int, Meta(ge=1, description="events in one publish message")] = 1000

    def __post_init__(self) -> None:
        """Refuse what the types let through."""
        if self.heartbeat <= 0:
            raise ValueError("heartbeat is longer than 0 s")
        if self.message < 1:
            raise ValueError("message is at least 1 byte")


class WebSocket(Output):
    """Stream events over a WebSocket, and take events from it.

    With the subprotocol `cloudevents.json`, or none, the URL's query subscribes as for `sse`: `type`,
    `source`, `subject`, `filter`, `after`, `lastEventId`, `lag`. Each message is one CloudEvent whose
    extension attribute `cursor` is its place. With `eventstream.v1` the client subscribes and
    publishes by JSON messages. Events that come in here run through the same pipelines as a POST;
    a pipeline with `verify` refuses them, since a message has no headers to sign.

    The request is refused with 400 for a malformed handshake, filter or place, and with 426 when it
    is no WebSocket handshake of version 13. Overload and drain are told by close codes 1013 and 1001.
    """

    name = "websocket"
    Config = Settings
    examples: ClassVar[list[Any]] = [{"path": "/events/ws"}, {"heartbeat": "25s", "message": "1MiB"}]
    answers = MappingProxyType({101: ""})
    delivery: Delivery

    def open(self, services: Services) -> None:
        """Keep the node's delivery services."""
        self.delivery = services  # type: ignore[assignment]  # an output is handed the wider Delivery

    def accepts(self, request: Request) -> bool:
        """Take what asks for a WebSocket; another output may share the path."""
        return is_upgrade(request.headers)

    def handle(self, request: Request) -> Response:
        """Answer an opening handshake with 101 and take the connection over."""
        headers = accept(request.method, request.headers, tuple(_SESSIONS))
        chosen = headers.get("Sec-WebSocket-Protocol", cloudevents.SUBPROTOCOL)
        session = _SESSIONS[chosen](self.delivery, self.config, request)
        if self.delivery.draining or self.delivery.hub.full:
            return Response(101, headers, take=session.turn_away)
        return Response(101, headers, take=session.take)


_SESSIONS: dict[str, type[Session]] = {
    cloudevents.SUBPROTOCOL: cloudevents.CloudEventsSession,
    v1.SUBPROTOCOL: v1.V1Session,
}


@hookimpl
def eventstream_outputs() -> Sequence[type[Output]]:
    """Offer `websocket`."""
    return [WebSocket]
