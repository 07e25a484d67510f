"""Benthos 4 as a pipeline: HTTP in, JSON Schema, a file out; built with the Go toolchain."""

import shutil
from pathlib import Path

from bench import cache
from bench.generator import compact, event, post
from bench.peers.peer import Peer

HERE = Path(__file__).parent


class Benthos(Peer):
    name = "benthos"
    title = "Benthos"
    durable = "os"
    note = "its core has no output that syncs: the file output leaves that to the operating system"

    def __init__(self) -> None:
        super().__init__()
        self._program = Path()

    def prepare(self) -> None:
        self._program = cache.folder("go") / "benthos"
        if self._program.exists():
            return
        source = cache.folder("go-benthos")
        for name in ("main.go", "go.mod"):
            shutil.copy(HERE / name, source / name)
        cache.run(["go", "get", "github.com/redpanda-data/benthos/v4@latest"], cwd=source)
        cache.run(["go", "mod", "tidy"], cwd=source)
        cache.run(["go", "build", "-o", self._program, "."], cwd=source)

    def version(self) -> str:
        return cache.run([self._program, "--version"]).strip().replace("\n", " ")

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        config = (HERE / "config.yaml").read_text()
        for name, value in {"PORT": port, "FOLDER": folder}.items():
            config = config.replace(f"@{name}@", str(value))
        (folder / "config.yaml").write_text(config)
        (folder / "event.schema.json").write_text((HERE / "event.schema.json").read_text())
        self.spawn(self._program, "-c", folder / "config.yaml", folder=folder).wait_port(port)

    def publish(self, size: int = 250) -> bytes:
        return post("/events", compact([event(size)]))

    def publish_batch(self, events: int, size: int = 250) -> bytes:
        return post("/events", compact([event(size)] * events))
