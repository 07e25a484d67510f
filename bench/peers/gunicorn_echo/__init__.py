"""What a Python team would start with: stock gunicorn, its gevent worker, a Falcon handler that echoes."""

import importlib.metadata
import sys
from pathlib import Path

from bench.generator import compact, event, post
from bench.peers.peer import Peer

HERE = Path(__file__).parent


class GunicornEcho(Peer):
    name = "gunicorn-echo"
    title = "gunicorn gevent, Falcon echo"
    durable = "none"
    note = "validates nothing, keeps nothing, delivers to nobody"

    def version(self) -> str:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("gunicorn", "gevent", "falcon"))

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        self.spawn(
            sys.executable, "-m", "gunicorn", "--config", HERE / "settings.py", "--chdir", HERE,
            "--bind", f"127.0.0.1:{port}", "echo:app", folder=folder,
        ).wait_port(port)  # fmt: skip

    def publish(self, size: int = 250) -> bytes:
        return post("/events", compact(event(size)))
