"""Latency: a calm stream to a thousand subscribers; how long from publishing to receipt."""

from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.fan_out import SUBSCRIBERS
from bench.cases.shared import DELIVERY, OPEN_FEW, delivered
from bench.peers import HUBS, Bare, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

RATE = 50
METRICS = (*DELIVERY[:2], Metric("server_cpu_us_per_delivery", "us CPU each", more_is_better=False), *DELIVERY[2:])


class Latency(Case):
    name = "latency"
    title = "Latency from publish to receipt, 1 publisher, 50 events a second"
    method = (
        "The mark in each event is the moment before its request was sent; each subscriber's receipt is one sample."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in (*HUBS, Bare)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [Workload(key, f"{_count(scale):,} {name} subscribers", METRICS) for key, name in SUBSCRIBERS.items()]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        count = _count(lab.scale)
        for transport in SUBSCRIBERS:
            try:
                ask = peer.subscribe(transport)
            except Unavailable as reason:
                yield transport, str(reason)
                continue
            folder = lab.folder / transport
            folder.mkdir()
            with peer.running(folder):
                lab.generator.open(peer.port, count, ask, waiting=OPEN_FEW)
                lab.generator.publish(peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=count)
                seconds = lab.scale.of(10, 1)
                yield transport, delivered(peer, lab, count, events=RATE * seconds, seconds=seconds, rate=RATE)
                lab.generator.close()


def _count(scale: Scale) -> int:
    return scale.of(1_000, 100)
