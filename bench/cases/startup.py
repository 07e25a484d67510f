"""Start-up: from starting the server to its first good answer, with nothing and with much in its store."""

import time
from collections.abc import Iterator, Sequence

from bench.peers import EventStream, Peer
from bench.peers.eventstream import LONG_HISTORY
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload

SIZE = 1_000  # bytes of data an event
BATCH = 500
METRICS = (
    Metric("seconds", "s to start", more_is_better=False),
    Metric("stored_mib", "MiB stored", more_is_better=False),
    Metric("resident_mib", "MiB resident", more_is_better=False),
)


class StartUp(Case):
    name = "startup"
    title = "Start-up with a large store"
    method = "From starting the program to its worker taking requests; the store was closed by a normal stop before."

    def contenders(self) -> Sequence[Contender]:
        return [Contender("eventstream", "Event-Stream", lambda: EventStream(LONG_HISTORY))]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [
            Workload("empty", "an empty store", METRICS),
            Workload("large", f"{_mib(scale):,} MiB of events", METRICS),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        with peer.running(lab.folder):
            pass  # the folder and its files are made
        yield "empty", _start(peer, lab)
        with peer.running(lab.folder):
            batches = _mib(lab.scale) * 2**20 // (SIZE * BATCH)
            lab.generator.publish(peer.publish_port, peer.publish_batch(BATCH, SIZE), events=batches, connections=2)
        yield "large", _start(peer, lab)


def _start(peer: Peer, lab: Lab) -> Values:
    begun = time.monotonic()
    with peer.running(lab.folder):
        seconds = time.monotonic() - begun
        stored = sum(path.stat().st_size for path in (lab.folder / "data").glob("events.db*") if path.is_file())
        return {"seconds": seconds, "stored_mib": stored / 2**20, "resident_mib": peer.memory_bytes() / 2**20}


def _mib(scale: Scale) -> int:
    return scale.of(1_024, 20)
