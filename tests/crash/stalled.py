"""Many subscribers stop reading while many events pass; then they read again, and nothing is missing.

Run by tests/crash/test_stalled.py in a small form; the full one: `python tests/crash/stalled.py`
(1,000 stalled subscribers, 100,000 events). Prints what it measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import select
import socket
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from eventstream.testing.process import ServerProcess

CONFIG = """
version: 1
server:
  limits: {subscribers: 16000}
store:
  sqlite: {path: data/events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 15s}
"""
BATCH = 100


def raise_limit() -> None:
    """Allow ourselves as many descriptors as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(port: int, *, buffer: int = 0) -> socket.socket:
    """Subscribe to everything; the head is still to be read."""
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    return sock


def open_streams(port: int, count: int, *, buffer: int = 0) -> list[socket.socket]:
    """Open streams, and wait until each has had its first frame."""
    socks: list[socket.socket] = []
    for begin in range(0, count, 200):
        some = [connect(port, buffer=buffer) for _ in range(min(200, count - begin))]
        for sock in some:
            seen = b""
            while b"event: cursor" not in seen:
                data = sock.recv(4096)
                assert data, seen
                seen += data
            sock.setblocking(False)
        socks += some
    return socks


def memory(pid: int, field: str = "VmRSS") -> int:
    """Return a number of bytes from a process's status; `VmHWM` is the highest since `reset_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def descriptors(pid: int) -> int:
    """Count a process's open files."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def reset_peak(pid: int) -> None:
    """Begin `VmHWM` anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Readers(threading.Thread):
    """Reads many streams to a count of events; keeps how long each event was under way, if asked to."""

    def __init__(self, socks: list[socket.socket], total: int, *, timed: bool = False) -> None:
        super().__init__(daemon=True)
        self.streams = {sock.fileno(): sock for sock in socks}
        self.total = total
        self.counts = dict.fromkeys(self.streams, 0)
        self.ends = dict.fromkeys(self.streams, b"")
        self.last = dict.fromkeys(self.streams, b"")
        self.delays: list[float] = []
        self.timed = timed
        self.closed = 0
        self.gaps = 0

    def run(self) -> None:
        poll = select.epoll()
        for fd in self.streams:
            poll.register(fd, select.EPOLLIN)
        open_ = set(self.streams)
        deadline = time.monotonic() + 600
        while open_ and time.monotonic() < deadline:
            for fd, _ in poll.poll(1.0):
                data = self.streams[fd].recv(1 << 18)
                self.closed += not data
                if not data or self._count(fd, data) >= self.total:
                    poll.unregister(fd)
                    open_.discard(fd)
        poll.close()

    def _count(self, fd: int, data: bytes) -> int:
        text = self.ends[fd] + data
        whole = text.rfind(b"\n\n") + 2 if b"\n\n" in text else 0
        text, self.ends[fd] = text[:whole], text[whole:]
        count = text.count(b'data: {"specversion')
        self.counts[fd] += count
        self.gaps += text.count(b"event: gap\n")
        if count:
            self.last[fd] = text[text.rindex(b"id: ") :].split(b"\n")[0]
        if self.timed:
            now = time.time()
            for line in text.split(b"\n"):
                if line.startswith(b'data: {"specversion'):
                    self.delays.append(now - json.loads(line[6:])["data"]["at"])
        return self.counts[fd]


def publish(port: int, first: int, count: int, *, pad: int = 60, rate: float = 0.0) -> None:
    """Publish numbered events in batches; with `rate`, at most so many a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.monotonic()
    for begin in range(first, first + count, BATCH):
        if rate:
            time.sleep(max(0.0, began + (begin - first) / rate - time.monotonic()))
        at = time.time()
        batch = [
            {"specversion": "1.0", "id": str(number), "source": "/s", "type": "t", "data": {"at": at, "pad": "x" * pad}}
            for number in range(begin, begin + BATCH)
        ]
        connection.request(
            "POST", "/events", json.dumps(batch), {"Content-Type": "application/cloudevents-batch+json"}
        )  # fmt: skip
        response = connection.getresponse()
        body = response.read()
        assert response.status == 201, body[:500]
    connection.close()


def p99(delays: list[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return sorted(delays)[int(len(delays) * 0.99)] * 1000


def run(
    folder: Path, *, stalled: int, events: int, live: int = 10, pad: int = 60, rate: float = 2000.0
) -> dict[str, float]:
    """Measure one server: live subscribers alone, beside the stalled ones, and the stalled ones reading again."""
    raise_limit()
    config = folder / "pipelines.yaml"
    config.write_text(CONFIG)
    with ServerProcess(config, workers=1) as server, ExitStack() as closing:
        (worker,) = server.workers()

        def listen(count: int, total: int, **options: bool) -> Readers:
            socks = open_streams(server.port, count)
            for sock in socks:
                closing.callback(sock.close)
            readers = Readers(socks, total, **options)
            readers.start()
            return readers

        calm = listen(live, events // 5, timed=True)
        publish(server.port, 1, events // 5, pad=pad, rate=rate)
        calm.join(60)
        stuck = open_streams(server.port, stalled, buffer=4096)
        for sock in stuck:
            closing.callback(sock.close)
        before = memory(worker)
        reset_peak(worker)
        beside = listen(live, events, timed=True)
        publish(server.port, 1 + events // 5, events, pad=pad, rate=rate)
        beside.join(120)
        peak = memory(worker, "VmHWM") - before
        began = time.monotonic()
        for sock in stuck:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        healed = Readers(stuck, events)
        healed.start()
        healed.join(600)
        seconds = time.monotonic() - began
        peak_healing = memory(worker, "VmHWM") - before
        assert min(beside.counts.values()) == max(beside.counts.values()) == events
        assert set(healed.counts.values()) == {events}, (min(healed.counts.values()), max(healed.counts.values()))
        assert len(set(healed.last.values())) == 1
        assert healed.closed == healed.gaps == beside.gaps == 0
    return {
        "stalled": stalled,
        "events": events,
        "p99_alone_ms": round(p99(calm.delays), 2),
        "p99_beside_ms": round(
            p99(beside.delays[len(beside.delays) // 2 :]), 2
        ),  # the first half fills the kernel's buffers
        "memory_mib_while_stalled": round(peak / 2**20, 1),
        "memory_mib_with_healing": round(peak_healing / 2**20, 1),
        "seconds_to_heal": round(seconds, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stalled", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=5000.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(run(Path(name), stalled=options.stalled, events=options.events, rate=options.rate))  # noqa: T201  # the script prints what it measured
