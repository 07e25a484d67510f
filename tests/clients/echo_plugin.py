"""An output for the Autobahn suite: a WebSocket that says everything back. Run with `--plugin`."""

from eventstream import Config, Delivery, Output, Reject, Request, Response, hookimpl
from eventstream.wire import websocket
from eventstream.wire.websocket_handshake import accept, is_upgrade

LIMIT = 16 << 20  # the suite's largest message


class Echo:
    """One connection."""

    def __init__(self, delivery):
        self.delivery = delivery
        self.reader = websocket.Reader(LIMIT)
        self.sink = None

    def take(self, connection, early):
        self.sink = self.delivery.hub.adopt(
            connection, output="echo", heartbeat=3600.0, received=self.received,
            goodbye=lambda retry, reason="": websocket.close_frame(websocket.GOING_AWAY), idle=websocket.ping_frame,
        )  # fmt: skip
        if early:
            self.received(early)

    def received(self, data):
        try:
            for message in self.reader.feed(data):
                self.answer(message)
        except websocket.WebSocketError as error:
            self.sink.end(websocket.close_frame(error.code, error.reason))

    def answer(self, message):
        if isinstance(message, websocket.Text):
            self.sink.write(websocket.text_frame(message.data))
        elif isinstance(message, websocket.Binary):
            self.sink.write(websocket.binary_frame(message.data))
        elif isinstance(message, websocket.Ping):
            self.sink.write(websocket.pong_frame(message.payload))
        elif isinstance(message, websocket.Close):
            self.sink.end(websocket.close_frame(message.code))


class EchoOutput(Output):
    """Answers each message with itself."""

    name = "echo"

    class Config(Config, frozen=True):
        """Where it listens."""

        path: str = "/echo"

    delivery: Delivery

    def open(self, services):
        self.delivery = services

    def handle(self, request: Request) -> Response:
        if not is_upgrade(request.headers):
            raise Reject("this path speaks WebSocket", status=426)
        return Response(101, accept(request.method, request.headers), take=Echo(self.delivery).take)


@hookimpl
def eventstream_outputs():
    return [EchoOutput]
