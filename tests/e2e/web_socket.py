"""A WebSocket client by hand."""

import json

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, RejectData, Request, TextMessage

from eventstream.testing.raw_http import RawClient


class Socket:
    """One connection: `status` of its handshake, messages, and `closed` with code and reason."""

    def __init__(self, port, *headers, target="/events/ws", protocol="eventstream.v1"):
        self._client = RawClient(port, seconds=15)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self.status, self.problem, self.closed, self._messages = 0, b"", None, []
        request = Request("localhost", target, subprotocols=[protocol], extra_headers=list(headers))
        self._client.send(self._protocol.send(request))
        while not self.status:
            self._pump()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.socket.close()

    def _pump(self):
        self._protocol.receive_data(self._client.socket.recv(65536) or None)
        for event in self._protocol.events():
            match event:
                case AcceptConnection():
                    self.status = 101
                case RejectConnection():
                    self.status = event.status_code
                case RejectData():
                    self.problem += event.data
                case TextMessage():
                    self._messages.append(json.loads(event.data))
                case CloseConnection():
                    self.closed = (int(event.code), event.reason)

    def send(self, **message):
        self._client.send(self._protocol.send(TextMessage(json.dumps(message))))

    def read(self, *kinds):
        """Return the next message whose `op` or `type` is one of these."""
        while True:
            while self._messages:
                message = self._messages.pop(0)
                if message.get("op", message.get("type")) in kinds:
                    return message
            self._pump()

    def ask(self, *kinds, **message):
        """Send a message and return the answer."""
        self.send(**message)
        return self.read(*kinds)

    def wait_closed(self):
        """Return the close's code and reason."""
        while self.closed is None:
            self._pump()
        return self.closed
