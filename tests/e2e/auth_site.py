"""A server with `auth`, an authenticator of a plugin, and the ways to ask it."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
from e2e.web_socket import Socket

from eventstream.testing.process import ServerProcess
from eventstream.testing.raw_http import RawClient

PLUGIN = str(Path(__file__).parent / "badge_plugin.py")
CONFIG = """
version: 1
server:
  workers: 2
  drain: 5s
  metrics: {public: false}
  audit: {file: audit.log}
store:
  sqlite: {path: data/events.db}
auth:
  chain: [badge]
  grants:
    - {to: [shop, shop-*], publish: {type: "shop.*"}}
    - {to: [till, till-*], subscribe: [{type: "shop.*"}, {source: /till}]}
    - {to: ops, admin: true, publish: true, subscribe: true}
    - {to: anonymous, subscribe: {type: "public.*"}}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
"""


class Auth:
    """A server and the ways to ask it."""

    def __init__(self, folder, config=CONFIG):
        self.file = folder / "pipelines.yaml"
        self.file.write_text(config)
        self.server = ServerProcess(self.file, plugins=(PLUGIN,))

    def ask(self, method, path, badge=None, **options):
        headers = options.pop("headers", {}) | ({"Authorization": f"Badge {badge}"} if badge else {})
        return httpx.request(method, self.server.url + path, headers=headers, timeout=10, **options)

    def publish(self, badge, type="shop.order", **fields):
        headers = {name: fields.pop(name) for name in ("Prefer", "Idempotency-Key", "Cookie") if name in fields}
        return self.ask("POST", "/events", badge, json={"type": type, **fields}, headers=headers)

    @contextlib.contextmanager
    def stream(self, badge, query="type=shop.*"):
        with RawClient(self.server.port, seconds=15) as client:
            client.request("GET", f"/events?{query}", f"Authorization: Badge {badge}", "Accept: text/event-stream")
            assert client.head().status == 200
            client.read_until(b"event: cursor")
            yield client

    def audit(self):
        log = self.file.parent / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def command(self, *words):
        run = [sys.executable, "-m", "eventstream", "--plugin", PLUGIN, *words, "--config", str(self.file)]
        return subprocess.run(run, capture_output=True, text=True, timeout=30, check=False)

    def socket(self, badge, **options):
        headers = [(b"Authorization", f"Badge {badge}".encode())] if badge else []
        return Socket(self.server.port, *headers, **options)
