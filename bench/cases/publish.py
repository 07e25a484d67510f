"""Publishing: one event a request over kept-alive connections, answered with a receipt."""

from collections.abc import Iterator, Sequence

from bench.cases.shared import ANSWER, published
from bench.peers import (
    Bare,
    Benthos,
    Centrifugo,
    DurableStreams,
    EventStream,
    GunicornEcho,
    Mercure,
    Nchan,
    Peer,
    Pushpin,
)
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

CONNECTIONS = (32, 128)
METRICS = (
    Metric("events_per_second", "events/s", more_is_better=True),
    Metric("server_cpu_us_per_event", "us CPU each", more_is_better=False),
    *ANSWER,
)
PEERS = (GunicornEcho, Mercure, DurableStreams, Benthos, Nchan, Centrifugo, Pushpin, Bare)


class Publish(Case):
    name = "publish"
    title = "Publishing one 250-byte event a request, kept alive"
    method = (
        "Each connection sends its next request as soon as it has the answer to the last. Ours "
        "validates, stores with fsync and delivers; what a peer's answer promises stands in the column "
        "`durable`. Nobody subscribes."
    )

    def contenders(self) -> Sequence[Contender]:
        ours = [
            Contender("eventstream", "Event-Stream", EventStream),
            Contender("eventstream-2", "Event-Stream, 2 workers", lambda: EventStream(workers=2)),
        ]
        return [*ours, *(contender(peer) for peer in PEERS)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [Workload(f"{count}", f"{count} connections", METRICS) for count in CONNECTIONS]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        with peer.running(lab.folder):
            lab.generator.publish(peer.publish_port, peer.publish(), seconds=0.5, connections=8)  # warm
            for count in CONNECTIONS:
                seconds = lab.scale.of(5, 1)
                yield f"{count}", published(peer, lab, peer.publish(), seconds=seconds, connections=count)
