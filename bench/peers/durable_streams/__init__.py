"""Durable Streams: the protocol's reference server on Node, file-backed."""

import http.client
import json
from pathlib import Path

from bench import cache
from bench.generator import Ask, compact, event, get, post
from bench.peers.peer import Peer

HERE = Path(__file__).parent


class DurableStreams(Peer):
    name = "durable-streams"
    title = "Durable Streams (Node)"
    durable = "fsync"
    note = "its makers name it a reference server and recommend others for production"

    def __init__(self) -> None:
        super().__init__()
        self._modules = Path()

    def prepare(self) -> None:
        cache.run(["node", "--version"])
        self._modules = cache.npm_packages(HERE / "package.json") / "node_modules"

    def version(self) -> str:
        manifest = json.loads((self._modules / "@durable-streams/server/package.json").read_text())
        return f"@durable-streams/server {manifest['version']}, Node {cache.run(['node', '--version']).strip()}"

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        # beside node_modules: that is how Node finds packages
        program = self._modules.parent / "server.mjs"
        program.write_text((HERE / "server.mjs").read_text())
        server = self.spawn("node", program, str(port), folder / "streams", folder=folder)
        server.wait_port(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("PUT", "/bench", headers={"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()

    def subscribe(self, transport: str) -> Ask:
        if transport != "sse":
            raise cache.Unavailable("Durable Streams has no WebSocket")
        return Ask(get("/bench?offset=now&live=sse", Accept="text/event-stream"))

    def publish(self, size: int = 250) -> bytes:
        return post("/bench", compact(event(size)))

    def publish_batch(self, events: int, size: int = 250) -> bytes:
        return post("/bench", compact([event(size)] * events))
