"""A bare subscriber and a bare publisher, for tests that stop, break and replace what is behind them."""

import http.client
import json
import urllib.parse


class Stream:
    """One SSE connection; a context manager. `take(count)` reads that many events."""

    def __init__(self, port, last=None, **query):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        self._connection.request("GET", f"/events?{urllib.parse.urlencode(query)}", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.status
        self.gaps = []
        self.place = last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()
        self._connection.close()

    def frames(self):
        """Yield `(kind, cursor, data)` until the server ends the stream."""
        block = {}
        while line := self._response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                block[name] = value
            elif "data" in block:
                self.place = block["id"]
                kind = block.get("event", "event")
                data = json.loads(block["data"])
                if kind == "gap":
                    self.gaps.append(data)
                yield kind, block["id"], data
                block = {}

    def take(self, count):
        """Return the ids of the next `count` events."""
        ids = []
        if count:
            for kind, _, data in self.frames():
                if kind == "event":
                    ids.append(data["id"])
                    if len(ids) == count:
                        break
        return ids


class Publisher:
    """One keep-alive connection for POSTs; a context manager."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.count = 0
        self.receipts = {}  # of what was acknowledged: id to cursor

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def publish(self, size=0, **fields):
        """Publish the next event; return status, headers and body."""
        self.count += 1
        return self.again(self.count, size, **fields)

    def again(self, number, size=0, **fields):
        """Publish event `number`, which may have been tried before."""
        event = {"specversion": "1.0", "id": str(number), "source": "/crash", "type": "t", "data": "x" * size, **fields}
        self._connection.request(
            "POST", "/events", json.dumps(event), {"Content-Type": "application/cloudevents+json"}
        )  # fmt: skip
        response = self._connection.getresponse()
        body = json.loads(response.read())
        if response.status in (200, 201):
            self.receipts[str(number)] = body["cursor"]
        return response.status, response.headers, body
