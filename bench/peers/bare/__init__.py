"""The floor: a loop of `send` in C, and an HTTP answer without a parser (`load/bare.c`). No server to use."""

from pathlib import Path

from bench import cache
from bench.generator import SOURCES, Ask, compact, event, get, post, websocket
from bench.peers.peer import Peer
from bench.processes import wait_for


class Bare(Peer):
    name = "bare"
    title = "bare C loop"
    durable = "none"
    note = "no server: the ceiling of the load generator and of the kernel"

    def prepare(self) -> None:
        cache.compile_c(SOURCES / "bare.c")

    def version(self) -> str:
        return cache.run(["cc", "--version"]).splitlines()[0]

    def launch(self, folder: Path) -> None:
        process = self.spawn(cache.compile_c(SOURCES / "bare.c"), folder=folder)
        self.port = self.publish_port = int(wait_for(lambda: process.running() and process.log.read_text(), "bare"))

    def subscribe(self, transport: str) -> Ask:
        return Ask(get("/") if transport == "sse" else websocket("/"))

    def publish(self, size: int = 250) -> bytes:
        return post("/", compact(event(size)))
