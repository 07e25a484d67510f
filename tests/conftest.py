"""Fixtures for every test: a real server on a port and a folder of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventstream.testing.process import ServerProcess

CONFIG = """
version: 1
server:
  workers: 2
  cors: {origins: ["*"]}
  timeouts: {head: 3s, body: 3s, write: 5s, keep_alive: 10s}
  drain: 5s
store:
  sqlite: {path: data/events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
"""

Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server: `serve(config_text, workers=2, …)`."""
    servers: list[ServerProcess] = []

    def start(config: str = CONFIG, **options: object) -> ServerProcess:
        file = tmp_path / "pipelines.yaml"
        file.write_text(config)
        server = ServerProcess(file, **options)  # type: ignore[arg-type]  # passed on as given
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return one server with the default test configuration for a whole module."""
    file = tmp_path_factory.mktemp("server") / "pipelines.yaml"
    file.write_text(CONFIG)
    with ServerProcess(file) as server:
        yield server
