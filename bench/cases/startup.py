"""Start-up: from starting the server to its first receipt, with little and with much in its store."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.peers import EventStream, Peer
from bench.peers.eventstream import LONG_HISTORY
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload

SIZE = 1_000  # bytes of data an event
BATCH = 500
METRICS = (
    Metric("seconds", "s to start", more_is_better=False),
    Metric("cpu_seconds", "s CPU", more_is_better=False),
    Metric("stored_mib", "MiB stored", more_is_better=False),
    Metric("resident_mib", "MiB resident", more_is_better=False),
)


class StartUp(Case):
    name = "startup"
    title = "Start-up with a large store"
    method = (
        "From starting the program to the receipt of the first event; the store was closed by a normal stop before."
    )

    def contenders(self) -> Sequence[Contender]:
        return [Contender("eventstream", "Event-Stream", lambda: EventStream(LONG_HISTORY))]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [
            Workload("empty", "a nearly empty store", METRICS),
            Workload("large", f"{_mib(scale):,} MiB of events", METRICS),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        for key, mib in {"empty": 0, "large": _mib(lab.scale)}.items():
            yield key, _start(lab.stocked(key, partial(_fill, lab, mib)))


def _fill(lab: Lab, mib: int, folder: Path) -> None:
    server = EventStream(LONG_HISTORY)
    with server.running(folder):
        batches = mib * 2**20 // (SIZE * BATCH)
        lab.generator.publish(server.port, server.publish_batch(BATCH, SIZE), events=max(1, batches), connections=2)


def _start(folder: Path) -> Values:
    server = EventStream(LONG_HISTORY)
    begun = time.monotonic()
    with server.running(folder):
        server.receipt(server.publish())
        seconds, cpu = time.monotonic() - begun, server.cpu_seconds()
        stored = sum(path.stat().st_size for path in (folder / "data").glob("events.db*") if path.is_file())
        resident = server.memory_bytes()
    return {"seconds": seconds, "cpu_seconds": cpu, "stored_mib": stored / 2**20, "resident_mib": resident / 2**20}


def _mib(scale: Scale) -> int:
    return scale.of(1_024, 20)
