"""Batches: a thousand events a request, into an empty store and behind a long history."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.cache import Unavailable
from bench.cases.shared import ANSWER, OPEN_FEW, published
from bench.peers import Benthos, Centrifugo, DurableStreams, EventStream, Mercure, Nchan, Peer, Pushpin
from bench.peers.eventstream import LONG_HISTORY
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

BATCH = 1_000
LONGEST = 120  # seconds given to store the history
METRICS = (
    Metric("events_per_second", "events/s", more_is_better=True),
    Metric("server_cpu_us_per_event", "us CPU each", more_is_better=False),
    *ANSWER,
)


class Batches(Case):
    name = "batches"
    title = "Batches of 1,000 events of 250 bytes"
    method = (
        "Two kept-alive connections send whole batches; one subscriber gets every event, where the "
        "server has subscribers. Ours validates, stores with fsync and delivers. The answer's times are "
        "those of a whole batch. The history is stored once, and each round begins with a copy of it."
    )

    def contenders(self) -> Sequence[Contender]:
        ours = Contender("eventstream", "Event-Stream", lambda: EventStream(LONG_HISTORY))
        return [ours, *(contender(peer) for peer in (DurableStreams, Benthos, Centrifugo, Pushpin, Mercure, Nchan))]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [
            Workload("empty", "into an empty store", METRICS),
            Workload("stored", f"with {_history(scale):,} events stored", METRICS),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        try:
            request = peer.publish_batch(BATCH)
        except Unavailable as reason:
            yield from ((workload.key, str(reason)) for workload in self.workloads(lab.scale))
            return
        yield "empty", _take(peer, lab, lab.folder, request)
        if peer.durable in {"memory", "none"}:
            yield "stored", f"{peer.title} keeps no such history"
            return
        try:
            folder = lab.stocked(peer.name, partial(_fill, peer, lab, request))
        except Unavailable as reason:
            yield "stored", str(reason)
            return
        yield "stored", _take(peer, lab, folder, request)


def _take(peer: Peer, lab: Lab, folder: Path, request: bytes) -> Values:
    with peer.running(folder):
        receivers = _subscribe(peer, lab)
        events = lab.scale.of(100, 10)
        found = published(peer, lab, request, events=events, seconds=20, connections=2, receivers=receivers)
        lab.generator.close()
    return found


def _fill(peer: Peer, lab: Lab, request: bytes, folder: Path) -> None:
    wanted = _history(lab.scale)
    with peer.running(folder):
        found = lab.generator.publish(
            peer.publish_port, request, events=wanted // BATCH, seconds=LONGEST, connections=2
        )
    if found["events"] < wanted:
        raise Unavailable(f"stored {found['events']:,.0f} of {wanted:,} events in {LONGEST} s")


def _subscribe(peer: Peer, lab: Lab) -> int:
    try:
        lab.generator.open(peer.port, 1, peer.subscribe("sse"), waiting=OPEN_FEW)
    except Unavailable:
        return 0  # a pipeline without subscribers
    return 1


def _history(scale: Scale) -> int:
    return scale.of(1_000_000, 20_000)
