"""Batches: a thousand events a request, into an empty store and behind a long history."""

from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.shared import ANSWER, OPEN_FEW, published
from bench.peers import Benthos, Centrifugo, DurableStreams, EventStream, Mercure, Nchan, Peer, Pushpin
from bench.peers.eventstream import LONG_HISTORY
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

BATCH = 1_000
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
        "those of a whole batch."
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
        with peer.running(lab.folder):
            receivers = _subscribe(peer, lab)
            words = {"connections": 2, "receivers": receivers}
            events = lab.scale.of(100, 10)
            yield "empty", published(peer, lab, request, events=events, seconds=20, **words)
            if peer.durable in {"memory", "none"}:
                yield "stored", f"{peer.title} keeps no such history"
                return
            missing = _history(lab.scale) // BATCH - events
            lab.generator.publish(peer.publish_port, request, events=missing, seconds=180, **words)
            yield "stored", published(peer, lab, request, events=events, seconds=20, **words)


def _subscribe(peer: Peer, lab: Lab) -> int:
    try:
        lab.generator.open(peer.port, 1, peer.subscribe("sse"), waiting=OPEN_FEW)
    except Unavailable:
        return 0  # a pipeline without subscribers
    return 1


def _history(scale: Scale) -> int:
    return scale.of(1_000_000, 20_000)
