"""Latency: a calm stream to a thousand subscribers; how long from publishing to receipt."""

from bench.cases.shared import DELIVERY, delivered, open_all
from bench.cases.transports import OverEach
from bench.generator import Ask
from bench.peers import HUBS, Bare, Peer
from bench.peers.eventstream import WithoutFsync
from bench.study import Lab, Metric, Values

RATE = 50


class Latency(OverEach):
    name = "latency"
    title = "Latency from publish to receipt, 1 publisher, 50 events a second"
    method = (
        "The mark in each event is the moment before its request was sent; each subscriber's receipt is one sample."
    )
    peers = (HUBS[0], WithoutFsync, *HUBS[1:], Bare)
    metrics = (*DELIVERY[:2], Metric("server_cpu_us_per_delivery", "us CPU each", more_is_better=False), *DELIVERY[2:])
    count = (1_000, 100)

    def over(self, peer: Peer, lab: Lab, ask: Ask, count: int) -> Values:
        open_all(peer, lab, count, ask)
        lab.generator.publish(peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=count)
        seconds = lab.scale.of(10, 1)
        return delivered(peer, lab, count, events=RATE * seconds, seconds=seconds, rate=RATE)
