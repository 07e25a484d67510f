"""slowhttptest's four modes, 300 connections each: cut in bounded time, while others are served."""

import contextlib
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.testing.process import wait_for

CONFIG = """
version: 1
server:
  workers: 2
  timeouts: {head: 3s, body: 3s, write: 3s, keep_alive: 3s}
store:
  sqlite: {path: data/events.db, durability: os}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""
CONNECTIONS = 300
OPENING = 2.0  # seconds in which they are opened
BOUND = 3.0 + 1.0 + 4.0  # a timeout of the server, what closing politely may take, and a busy machine
AT_ONCE = 2.5  # seconds another client may wait meanwhile: two busy cores, not a benchmark


class Mode(NamedTuple):
    """How slowhttptest is called, and how many of its connections are at least open together."""

    words: list[str]
    path: str = "/events"
    together: int = 200


MODES = {
    "slow heads": Mode(["-H", "-i", "1", "-x", "8"]),
    "slow bodies": Mode(["-B", "-i", "1", "-s", "8192", "-x", "8", "-f", "application/json"]),
    "ranges": Mode(["-R", "-a", "5", "-b", "3000"], together=0),  # ranges are ignored: all are answered at once
    "slow reads": Mode(["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "3"], "/events?limit=1000"),
}


@pytest.fixture(scope="module")
def server(serve_module):
    """A server with 600 kB of history."""
    server = serve_module(CONFIG)
    events = [
        {"specversion": "1.0", "id": str(n), "source": "/slow", "type": "old", "data": "x" * 3000} for n in range(200)
    ]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    assert httpx.post(f"{server.url}/events", json=events, headers=headers).status_code == 201
    return server


def sockets(server):
    """Return how many sockets the workers have open."""
    count = 0
    for pid in server.workers():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += str(link.readlink()).startswith("socket:")
    return count


class Others:
    """A publisher and a subscriber that go on meanwhile, and how long they had to wait."""

    def __init__(self, url):
        self.url = url
        self.waits = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        with (
            httpx.Client(base_url=self.url, timeout=10) as client,
            connect_sse(client, "GET", "/events?type=new") as source,
        ):
            frames = source.iter_sse()
            while not self._stop.wait(0.05):
                began = time.monotonic()
                receipt = client.post("/events", json={"type": "new"})
                heard = next(frame for frame in frames if frame.event == "message")
                assert heard.id == receipt.json()["cursor"]
                self.waits.append(time.monotonic() - began)


@pytest.mark.parametrize("mode", MODES)
def test_slow_peers_are_cut_while_others_are_served(server, mode, tmp_path):
    url = server.url + MODES[mode].path
    rate = str(int(CONNECTIONS / OPENING))
    words = ["slowhttptest", "-c", str(CONNECTIONS), "-r", rate, "-l", "60", "-p", "3", "-u", url, *MODES[mode].words]
    with Others(server.url) as others:
        wait_for(lambda: others.waits, "the others to be served")
        usual = sockets(server)
        began = time.monotonic()
        with (tmp_path / "out").open("wb") as out:
            attack = subprocess.Popen(words, stdout=out, stderr=out, cwd=tmp_path)
        try:
            most = 0

            def all_cut():
                nonlocal most
                now = sockets(server)
                most = max(most, now)
                ended = attack.poll() is not None or (mode == "slow reads" and time.monotonic() - began > OPENING)
                return ended and now <= usual + 1

            wait_for(all_cut, "the slow connections to be cut", seconds=OPENING + BOUND + 10)
            took = time.monotonic() - began
        finally:
            attack.kill()
            attack.wait()
    if mode != "slow reads":  # there, it goes on reading what the kernel still holds for it
        assert "No open connections left" in (tmp_path / "out").read_text()
    assert most >= usual + MODES[mode].together
    assert took < OPENING + BOUND
    assert max(others.waits) < AT_ONCE, sorted(others.waits)[-5:]
    assert httpx.get(f"{server.url}/-/ready").status_code == 200
