"""This server. Its defaults, except where a case is about a setting; one worker unless the case says otherwise."""

import http.client
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

from bench.generator import MARK, Ask, compact, event, get, order, post, websocket
from bench.peers.eventstream.variants import LONG_HISTORY, config
from bench.peers.peer import Peer
from bench.processes import wait_for

NOOP = Path(__file__).with_name("noop.py")
HERE = Path(__file__).parent

__all__ = ["LONG_HISTORY", "NOOP", "EventStream", "WithoutFsync", "config"]


class EventStream(Peer):
    name = "eventstream"
    title = "Event-Stream"
    durable = "fsync"

    def __init__(self, settings: str = "pipelines.yaml", *, workers: int = 1, plugins: tuple[Path, ...] = ()) -> None:
        super().__init__()
        self._config = (HERE / settings).read_text() if settings.endswith(".yaml") else settings
        self._workers = workers
        self._plugins = plugins

    def version(self) -> str:
        return f"Event-Stream {importlib.metadata.version('eventstream')}, Python {sys.version.split()[0]}"

    def launch(self, folder: Path) -> None:
        for schema in HERE.glob("*.json"):
            (folder / schema.name).write_text(schema.read_text())
        file = folder / "pipelines.yaml"
        file.write_text(self._config)
        words = [sys.executable, "-m", "eventstream"]
        for plugin in self._plugins:
            words += ["--plugin", str(plugin)]
        words += ["serve", str(file), "--workers", str(self._workers), "--bind", f"127.0.0.1:{self.port}"]
        # Set, it would have Python compile anew, at each start, what has changed since the installation.
        server = self.spawn(*words, folder=folder, environ={"PYTHONDONTWRITEBYTECODE": ""})
        heard = wait_for(lambda: server.running() and _listening(server.log.read_text(errors="replace")), "the server")
        self.port = self.publish_port = heard
        wait_for(lambda: server.log.read_text(errors="replace").count("worker_ready") >= self._workers, "the workers")

    def subscribe(self, transport: str, query: str = "type=bench") -> Ask:
        if transport == "sse":
            return Ask(get(f"/events?{query}", Accept="text/event-stream"))
        return Ask(websocket(f"/events/ws?{query}", Sec_WebSocket_Protocol="cloudevents.json"))

    def publish(self, size: int = 250, **attributes: str) -> bytes:
        return post("/events", compact(event(size, **attributes)))

    def publish_batch(self, events: int, size: int = 250, **attributes: str) -> bytes:
        # a batch is a batch of whole CloudEvents: the marks make ids that are never the same
        head = {"specversion": "1.0", "source": "/bench", "type": "bench", **attributes}
        one = {**head, "id": MARK, "data": {**order(size), "note": "x" * len(order(size)["note"])}}
        return post("/events", compact([one] * events), "application/cloudevents-batch+json")

    def receipt(self, request: bytes) -> dict[str, Any]:
        """Publish one event apart from the generator; returns what the server answered."""
        head, _, body = request.partition(b"\r\n\r\n")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            connection.request("POST", "/events", body=body, headers=fields)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


class WithoutFsync(EventStream):
    name = "eventstream-os"
    title = "Event-Stream, durability: os"
    durable = "os"
    note = "an answer does not wait for the disk: what is beside the line above is the disk's part"

    def __init__(self) -> None:
        super().__init__((HERE / "pipelines.yaml").read_text().replace("durability: fsync", "durability: os"))


def _listening(log: str) -> int:
    found = re.findall(r"Listening at: \S+?:(\d+)[ ,]", log)
    return int(found[-1]) if found else 0
