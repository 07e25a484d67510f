"""The checker: publishers, subscribers and `kill -9`, and afterwards one question to the store.

Run by tests/crash/test_chaos.py for a short while; for longer: `python tests/crash/chaos.py --seconds 600`.
What decides: every acknowledged event is in the store once, and every subscriber's sequence is the
store's sequence for its filter from where it began, without gap or duplicate, and the hash chain is
whole and leads through every head that was logged.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from eventstream.runtime.verify import verify
from eventstream.testing.process import ServerProcess, wait_for
from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite

CONFIG = """
version: 1
server:
  limits: {queue: 1000}
store:
  sqlite: {path: data/events.db}
  chain: {every: 1s}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws, heartbeat: 1s}
"""
TYPES = ("chaos.a", "chaos.b", "other.c")
TROUBLE = (OSError, http.client.HTTPException, WebSocketException, ValueError, EOFError)


@dataclass(eq=False)
class Publisher(threading.Thread):
    """Publishes numbered events one by one; repeats each until it is acknowledged."""

    label: str
    server: ServerProcess
    stop: threading.Event
    acknowledged: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(name=self.label, daemon=True)

    def run(self) -> None:
        number = 0
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        while not self.stop.is_set():
            number += 1
            event = {
                "specversion": "1.0", "id": f"{self.label}-{number}", "source": f"/{self.label}",
                "type": TYPES[number % len(TYPES)], "subject": f"s{number % 7}",
                "data": {"n": number, "pad": "x" * 150},
            }  # fmt: skip
            while not self._publish(event["id"], json.dumps(event)):
                if self.stop.wait(0.05):  # paces retries; an unacknowledged event may or may not be stored
                    break
        self.connection.close()

    def _publish(self, event_id: str, body: str) -> bool:
        try:
            self.connection.request("POST", "/events", body, {"Content-Type": "application/cloudevents+json"})
            response = self.connection.getresponse()
            receipt = json.loads(response.read())
        except TROUBLE:
            self.connection.close()  # the next request opens it again
            return False
        if response.status in (200, 201):
            self.acknowledged[event_id] = receipt["cursor"]
            return True
        assert response.status == 503, (response.status, receipt)
        return False


@dataclass(eq=False)
class Subscriber(threading.Thread):
    """Follows the stream over one output, reconnecting with its last cursor whenever it is cut."""

    label: str
    server: ServerProcess
    stop: threading.Event
    calm: threading.Event  # set when the last is published: from then on nobody is slow or restless
    query: str
    output: str
    slow: bool
    restless: bool
    seed: int
    seen: list[tuple[str, str]] = field(default_factory=list)  # (cursor, event id)
    place: str = "earliest"
    gaps: list[str] = field(default_factory=list)
    cuts: int = 0

    def __post_init__(self) -> None:
        super().__init__(name=self.label, daemon=True)
        self.random = random.Random(self.seed)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                frames = self._sse() if self.output == "sse" else self._websocket()
                for kind, cursor, event_id in frames:
                    self._take(kind, cursor, event_id)
                    if self.stop.is_set():
                        return
                    if self.calm.is_set():
                        continue
                    if self.restless and self.random.random() < 0.002:
                        break
                    if self.slow and self.random.random() < 0.02:
                        self.stop.wait(0.2)
            except TROUBLE:
                self.stop.wait(0.05)
            self.cuts += 1

    def _take(self, kind: str, cursor: str, event_id: str) -> None:
        self.place = cursor
        if kind == "gap":
            self.gaps.append(cursor)
        elif kind == "event":
            self.seen.append((cursor, event_id))

    def _sse(self) -> Iterator[tuple[str, str, str]]:
        with ExitStack() as closing:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            closing.callback(connection.close)
            headers = {"Accept": "text/event-stream"}
            after = ""
            if self.place == "earliest":
                after = "&after=earliest"
            else:
                headers["Last-Event-ID"] = self.place
            connection.request("GET", f"/events?{self.query}{after}", headers=headers)
            response = connection.getresponse()
            assert response.status == 200, response.status
            block: dict[str, str] = {}
            closing.callback(response.close)  # it holds the socket, whatever the connection does
            while line := response.readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    block[name] = value
                    continue
                if "data" in block:
                    kind = block.get("event", "event")
                    event_id = json.loads(block["data"])["id"] if kind == "event" else ""
                    yield kind, block["id"], event_id
                block = {}

    def _websocket(self) -> Iterator[tuple[str, str, str]]:
        url = f"ws://127.0.0.1:{self.server.port}/events/ws?{self.query}&after={self.place}"
        with connect(
            url, subprotocols=["cloudevents.json"], compression=None, open_timeout=10, close_timeout=0.2
        ) as socket:
            for message in socket:
                event = json.loads(message)
                kind = (
                    event["type"].removeprefix("eventstream.") if event["type"].startswith("eventstream.") else "event"
                )
                yield kind, event["cursor"], event["id"]


QUERIES = ("", "type=chaos.*", "type=chaos.a&type=other.c", "subject=s3", "source=/p1&type=chaos.*", "subject=s*")


@dataclass
class Chaos:
    """One run: start, disturb, settle, judge."""

    folder: Path
    workers: int = 3
    publishers: int = 8
    subscribers: int = 20
    seed: int = 1

    def run(self, seconds: float, *, group_kills: int = 1) -> dict[str, int]:
        """Run for a while and judge; returns what happened. Raises AssertionError on any violation."""
        config = self.folder / "pipelines.yaml"
        config.write_text(CONFIG)
        server = ServerProcess(config, workers=self.workers)
        server.start()
        stop_publishing, stop_reading = threading.Event(), threading.Event()
        publishers = [Publisher(f"p{i}", server, stop_publishing) for i in range(self.publishers)]
        subscribers = [
            Subscriber(
                f"s{i}", server, stop_reading, stop_publishing, QUERIES[i % len(QUERIES)],
                "sse" if i % 2 else "websocket",
                slow=i % 5 == 0, restless=i % 3 == 0, seed=self.seed * 1000 + i,
            )
            for i in range(self.subscribers)
        ]  # fmt: skip
        try:
            for thread in (*publishers, *subscribers):
                thread.start()
            kills = self._disturb(server, seconds, group_kills)
            stop_publishing.set()
            for publisher in publishers:
                publisher.join(15)
            head = self._head()
            self._settle(subscribers, head)
        finally:
            stop_publishing.set()
            stop_reading.set()
            server.stop()
            for thread in (*publishers, *subscribers):
                thread.join(15)
        return {"kills": kills, "heads": self.judge_chain(server), **self.judge(publishers, subscribers)}

    def _disturb(self, server: ServerProcess, seconds: float, group_kills: int) -> int:
        chance = random.Random(self.seed)
        kills = 0
        for round_ in range(group_kills + 1):
            end = time.monotonic() + seconds / (group_kills + 1)
            while time.monotonic() < end:
                workers = server.workers()
                if len(workers) == self.workers:  # kill the ready, not those that are being born
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    kills += 1
                threading.Event().wait(chance.uniform(0.2, 0.8))
            if round_ < group_kills:
                server.kill_group()
                server.start()
                kills += 1
        return kills

    def _settle(self, subscribers: list[Subscriber], head: int) -> None:
        """Wait until every subscriber has been told of the head: by an event or by a cursor frame."""
        for subscriber in subscribers:
            wait_for(
                lambda subscriber=subscriber: int(subscriber.place.rpartition("-")[2] or 0) >= head
                if subscriber.place != "earliest" else False,
                f"{subscriber.label} to reach {head}, it is at {subscriber.place}", seconds=60,
            )  # fmt: skip

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "data" / "events.db")

    def _head(self) -> int:
        with self._database() as database:
            return int(database.execute("SELECT max(offset) FROM events").fetchone()[0])

    def judge_chain(self, server: ServerProcess) -> int:
        """Verify the chain through each head in the log; return how many there are."""
        store = Sqlite.create({"path": "data/events.db"})
        store.read_only = True
        store.open(PlainServices(self.folder))
        heads = server.events("chain_head")
        for head in heads:
            verdict = verify(store, bytes.fromhex(head["hash"]), lambda place, end: None)
            assert (verdict.damage, verdict.outside) == (None, 0)
            assert verdict.found == head["offset"], f"{head} is not in the chain"
        store.close()
        return len(heads)

    def judge(self, publishers: list[Publisher], subscribers: list[Subscriber]) -> dict[str, int]:
        """Hold what everybody saw against the store's own file."""
        with self._database() as database:
            rows = database.execute("SELECT offset, json FROM events ORDER BY offset").fetchall()
        stored = [(offset, json.loads(body)) for offset, body in rows]
        place_of = {event["id"]: offset for offset, event in stored}
        assert len(place_of) == len(stored), "an id is stored twice"
        acknowledged = {
            event_id: cursor for publisher in publishers for event_id, cursor in publisher.acknowledged.items()
        }
        for event_id, cursor in acknowledged.items():
            assert event_id in place_of, f"{event_id} was acknowledged and is not in the store"
            assert int(cursor.rpartition("-")[2]) == place_of[event_id], f"{event_id} moved"
        for subscriber in subscribers:
            wanted = [(offset, event["id"]) for offset, event in stored if _wants(subscriber.query, event)]
            seen = [(int(cursor.rpartition("-")[2]), event_id) for cursor, event_id in subscriber.seen]
            assert not subscriber.gaps, f"{subscriber.label} was told of gaps {subscriber.gaps}"
            assert seen == wanted, (
                f"{subscriber.label} ({subscriber.output} {subscriber.query}): {_difference(seen, wanted)}"
            )
        return {
            "acknowledged": len(acknowledged),
            "stored": len(stored),
            "delivered": sum(len(subscriber.seen) for subscriber in subscribers),
            "reconnects": sum(subscriber.cuts for subscriber in subscribers),
        }


def _wants(query: str, event: dict[str, str]) -> bool:
    wanted: dict[str, list[str]] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        wanted.setdefault(name, []).append(value)
    return all(
        any(event[name].startswith(value[:-1]) if value.endswith("*") else event[name] == value for value in values)
        for name, values in wanted.items()
    )


def _difference(seen: list[tuple[int, str]], wanted: list[tuple[int, str]]) -> str:
    for position, (have, want) in enumerate(zip(seen, wanted, strict=False)):
        if have != want:
            return f"at {position} it saw {have}, the store has {want}"
    return f"it saw {len(seen)} events, the store has {len(wanted)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--group-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print("seed", options.seed)  # noqa: T201  # the script prints what it found
        print(Chaos(Path(name), seed=options.seed).run(options.seconds, group_kills=options.group_kills))  # noqa: T201  # the script prints what it found
