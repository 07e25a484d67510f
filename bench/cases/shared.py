"""What several cases do alike."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.cache import Unavailable, last_words
from bench.generator import MARK, Ask, Found
from bench.peers import Peer
from bench.study import Lab, Metric, Values

OPEN_FEW = 50  # subscribers that have not been answered yet: no server is tested at opening here
DELIVERY = (
    Metric("delivery_p50_us", "us p50", more_is_better=False),
    Metric("delivery_p99_us", "us p99", more_is_better=False),
    Metric("generator_cpu_part", "generator's CPU", more_is_better=False),
    Metric("flaws", "flaws", more_is_better=False),
)
ANSWER = (
    Metric("answer_p50_us", "us p50", more_is_better=False),
    Metric("answer_p99_us", "us p99", more_is_better=False),
    Metric("generator_cpu_part", "generator's CPU", more_is_better=False),
    Metric("flaws", "flaws", more_is_better=False),
)


def flaws(found: Found) -> float:
    """Everything that was not as it should: lost and repeated deliveries, broken streams, refused requests."""
    lost = abs(found["expected"] - found["deliveries"])
    return lost + found["wrong_streams"] + found["lost_connections"] + found["refused"] + found["failed"]


def open_all(peer: Peer, lab: Lab, count: int, ask: Ask) -> float:
    """Open `count` streams; returns the seconds it took. What is measured under fewer would mean nothing."""
    found = lab.generator.open(peer.port, count, ask, waiting=OPEN_FEW)
    if found["opened"] < count:
        raise Unavailable(f"opened {found['opened']:,} of {count:,} subscribers within a minute")
    return found["seconds"]


def delivered(peer: Peer, lab: Lab, count: int, **words: float) -> Values:
    """Publish to `count` open subscribers; figures for each delivery."""
    before = peer.cpu_seconds()
    found = lab.generator.publish(peer.publish_port, peer.publish(), receivers=count, **words)
    cpu = peer.cpu_seconds() - before
    if not found["deliveries"]:
        raise Unavailable(f"delivered nothing in time {last_words(lab.generator.complaints())}".rstrip())
    return {
        "deliveries_per_second": found["deliveries"] / found["seconds"],
        "server_cpu_us_per_delivery": cpu / found["deliveries"] * 1e6,
        "delivery_p50_us": found["delivery_p50_us"],
        "delivery_p99_us": found["delivery_p99_us"],
        "generator_cpu_part": found["generator_cpu_seconds"] / found["seconds"],
        "flaws": flaws(found),
    }


def published(peer: Peer, lab: Lab, request: bytes, **words: float) -> Values:
    """Publish without counting deliveries; figures for each event."""
    before = peer.cpu_seconds()
    found = lab.generator.publish(peer.publish_port, request, **words)
    cpu = peer.cpu_seconds() - before
    done = found["events"] - found["failed"] * (found["events"] / max(1, found["requests"]))
    if done <= 0:
        raise Unavailable(f"took nothing {last_words(lab.generator.complaints())}".rstrip())
    return {
        "events_per_second": done / found["seconds"],
        "server_cpu_us_per_event": cpu / done * 1e6,
        "answer_p50_us": found["answer_p50_us"],
        "answer_p99_us": found["answer_p99_us"],
        "generator_cpu_part": found["generator_cpu_seconds"] / found["seconds"],
        "flaws": flaws(found),
    }


def learn_place(peer: Peer) -> str:
    """The id of an event that has just been published: where a subscriber would come back."""
    with socket.create_connection(("127.0.0.1", peer.port), timeout=10) as stream:
        stream.sendall(peer.subscribe("sse").request)
        heard = stream.recv(65536)
        with socket.create_connection(("127.0.0.1", peer.publish_port), timeout=10) as publisher:
            publisher.sendall(peer.publish())
            publisher.recv(65536)
            while MARK.encode() not in heard:
                heard += stream.recv(65536)
    found: list[bytes] = re.findall(rb"^id: ?(.+?)\r?$", heard, re.MULTILINE)
    if not found:
        raise Unavailable(f"{peer.title} gives its events no ids over SSE")
    return found[-1].decode()


def coming_back(ask: Ask, place: str) -> Ask:
    """The same request from a subscriber that has been there before."""
    return Ask(ask.request[:-2] + f"Last-Event-ID: {place}\r\n\r\n".encode(), ask.then)


@contextmanager
def highest_memory(peer: Peer) -> Iterator[list[int]]:
    """Watch the server's memory; the list holds what was seen, at least two looks."""
    seen = [peer.memory_bytes()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.25):
            seen.append(peer.memory_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
        seen.append(peer.memory_bytes())
