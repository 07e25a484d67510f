"""The Mercure hub on its Bolt store, built with the Go toolchain."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from bench import cache
from bench.generator import Ask, compact, event, get, post
from bench.peers.peer import Peer

HERE = Path(__file__).parent
KEY = "a-key-of-the-benchmark-that-guards-nothing"


class Mercure(Peer):
    name = "mercure"
    title = "Mercure"
    durable = "fsync"

    def __init__(self) -> None:
        super().__init__()
        self._program = Path()

    def prepare(self) -> None:
        self._program = cache.go_program("github.com/dunglas/mercure/caddy/mercure")

    def version(self) -> str:
        return cache.run([self._program, "version"]).strip()

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        config = (HERE / "Caddyfile").read_text()
        for name, value in {"PORT": port, "FOLDER": folder, "KEY": KEY}.items():
            config = config.replace(f"@{name}@", str(value))
        (folder / "Caddyfile").write_text(config)
        self.spawn(
            self._program, "run", "--config", folder / "Caddyfile", folder=folder,
            environ={"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        ).wait_port(port)  # fmt: skip

    def subscribe(self, transport: str) -> Ask:
        if transport != "sse":
            raise cache.Unavailable("Mercure has no WebSocket")
        return Ask(get("/.well-known/mercure?topic=bench", Accept="text/event-stream"))

    def publish(self, size: int = 250) -> bytes:
        # the mark's "@" stands as it is: form encoding allows it, and the generator has to find it
        body = f"topic=bench&data={quote_plus(compact(event(size)), safe='@')}"
        token = f"Bearer {_token({'mercure': {'publish': ['*']}})}"
        return post("/.well-known/mercure", body, "application/x-www-form-urlencoded", Authorization=token)


def _token(claims: Mapping[str, Any]) -> str:
    """A JSON Web Token with HS256."""
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    text = ".".join(_base64url(compact(part).encode()) for part in parts)
    return f"{text}.{_base64url(hmac.digest(KEY.encode(), text.encode(), hashlib.sha256))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
