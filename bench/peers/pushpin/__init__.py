"""Pushpin: a proxy that holds connections for an origin. Debian's pushpin, condure and zurl; the origin is an nginx."""

import shutil
import socket
from pathlib import Path

from bench import cache
from bench.generator import Ask, compact, event, get, post, websocket
from bench.peers.peer import Peer
from bench.processes import Process, answers, file_limit, free_port, wait_for

HERE = Path(__file__).parent
PACKAGES = ["nginx", "pushpin", "condure", "zurl"]


class Pushpin(Peer):
    name = "pushpin"
    title = "Pushpin"
    durable = "none"
    note = "keeps nothing: its origin would have to; the origin's CPU and memory are left out"

    def __init__(self) -> None:
        super().__init__()
        self._root = Path("/")
        self._origin: Process | None = None
        self._transport = "sse"

    def prepare(self) -> None:
        if not all(shutil.which(name) for name in ("pushpin", "condure", "zurl", "nginx")):
            self._root = cache.debian(PACKAGES)

    def _program(self, name: str) -> Path:
        inside = [self._root / "usr/bin" / name, self._root / "usr/sbin" / name, Path("/usr/sbin") / name]
        found = [path for path in inside if path.exists()]
        if not found:
            raise cache.Unavailable(f"Debian's packages {PACKAGES} brought no `{name}`")
        return found[0]

    def _environ(self) -> dict[str, str]:
        if self._root == Path("/"):
            return {}
        return {"LD_LIBRARY_PATH": ":".join(str(path) for path in (self._root / "usr/lib").glob("*-linux-gnu"))}

    def version(self) -> str:
        return cache.run([self._program("pushpin"), "--version"], environ=self._environ()).strip()

    def launch(self, folder: Path) -> None:
        port, control, origin, commands, push = self.take_port(), *(free_port() for _ in range(4))
        self.publish_port = control
        values = {
            "PORT": port, "CONTROL": control, "ORIGIN": origin, "COMMANDS": commands, "PUSH": push, "FOLDER": folder,
            "FILES": file_limit(), "CONDURE": self._program("condure"), "ZURL": self._program("zurl"),
            "LIBDIR": self._root / "usr/lib/pushpin",
        }  # fmt: skip
        for template in ("pushpin.conf", "internal.conf", "zurl.conf", "routes", "origin.conf"):
            text = (HERE / template).read_text()
            for name, value in values.items():
                text = text.replace(f"@{name}@", str(value))
            (folder / template).write_text(text)
        shutil.copytree(self._root / "usr/lib/pushpin/runner", folder / "runner", dirs_exist_ok=True)
        nginx = self._program("nginx")
        self._origin = Process([nginx, "-p", folder, "-c", folder / "origin.conf", "-e", folder / "origin.log"], folder)
        self._origin.wait_port(origin)
        environ = self._environ()
        self.spawn(
            self._program("zurl"), f"--config={folder / 'zurl.conf'}", "--loglevel=1", folder=folder, environ=environ
        )
        pushpin = self.spawn(
            self._program("pushpin"), f"--config={folder / 'pushpin.conf'}", "--merge-output", folder=folder,
            environ={**environ, "PATH": f"{self._root / 'usr/bin'}:/usr/bin:/bin"},
        )  # fmt: skip
        pushpin.wait_port(port)
        wait_for(lambda: pushpin.running() and answers(control), "Pushpin's control port")
        wait_for(lambda: pushpin.running() and _holds(port), "Pushpin to reach its origin")

    def stop(self) -> None:
        super().stop()
        if self._origin:
            self._origin.stop()
            self._origin = None

    def subscribe(self, transport: str) -> Ask:
        self._transport = transport
        return Ask(get("/stream", Accept="text/event-stream") if transport == "sse" else websocket("/socket"))

    def publish(self, size: int = 250) -> bytes:
        return self.publish_batch(1, size)

    def publish_batch(self, events: int, size: int = 250) -> bytes:
        text = compact(event(size))
        forms = {
            "sse": {"http-stream": {"content": f"data: {text}\n\n"}},
            "websocket": {"ws-message": {"content": text}},
        }
        item = {"channel": "bench", "formats": forms[self._transport]}
        return post("/publish/", compact({"items": [item] * events}))


def _holds(port: int) -> bool:
    """Whether a subscriber is held by now: the ports listen long before Pushpin's parts have found each other."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
        probe.sendall(get("/stream", Accept="text/event-stream"))
        try:
            return b" 200 " in probe.recv(4096)
        except TimeoutError:
            return False
