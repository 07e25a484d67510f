"""Centrifugo 6, built with the Go toolchain: unidirectional SSE and WebSocket, publishing over its HTTP API."""

from pathlib import Path
from urllib.parse import quote

from bench import cache
from bench.generator import Ask, compact, event, get, post, websocket
from bench.peers.peer import Peer

HERE = Path(__file__).parent
CONNECT = quote(compact({"subs": {"bench": {}}}))  # the connect command in the URL: since 6.3 for WebSocket too


class Centrifugo(Peer):
    name = "centrifugo"
    title = "Centrifugo"
    durable = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._program = Path()

    def prepare(self) -> None:
        self._program = cache.go_program("github.com/centrifugal/centrifugo/v6")

    def version(self) -> str:
        return cache.run([self._program, "version"]).strip()

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        config = (HERE / "config.json").read_text().replace("@PORT@", str(port))
        (folder / "config.json").write_text(config)
        self.spawn(self._program, "--config", folder / "config.json", folder=folder).wait_port(port)

    def subscribe(self, transport: str) -> Ask:
        if transport == "sse":
            return Ask(get(f"/connection/uni_sse?cf_connect={CONNECT}", Accept="text/event-stream"))
        return Ask(websocket(f"/connection/uni_websocket?cf_connect={CONNECT}"))

    def publish(self, size: int = 250) -> bytes:
        return post("/api/publish", compact({"channel": "bench", "data": event(size)}))

    def publish_batch(self, events: int, size: int = 250) -> bytes:
        command = {"publish": {"channel": "bench", "data": event(size)}}
        return post("/api/batch", compact({"commands": [command] * events}))
