"""Fan-out: many subscribers, the same events; how many deliveries a second, at what cost."""

import math
from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.shared import DELIVERY, delivered, open_all
from bench.cases.transports import SUBSCRIBERS
from bench.peers import HUBS, Bare, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

TOO_LONG = 15  # seconds: what comes later the generator takes for lost
LONGEST = 4  # seconds of publishing: a slow server is not waited for
# name: (title, events that not everybody has yet, publishers' connections)
MODES = {
    "one": ("one event at a time", 1, 1),
    "stream": ("up to 8 events on their way", 8, 8),
    "burst": ("up to 64 events on their way", 64, 32),
}
METRICS = (
    Metric("deliveries_per_second", "deliveries/s", more_is_better=True),
    Metric("server_cpu_us_per_delivery", "us CPU each", more_is_better=False),
    *DELIVERY,
)


class FanOut(Case):
    name = "fan_out"
    title = "Fan-out of 250-byte events, saturated"
    method = (
        "The generator holds all subscribers and publishes whenever fewer than a fixed number of events "
        "are still on their way: 1 (nothing can be coalesced), 8, 64. Every subscriber's events are "
        "counted and their marks summed."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in (*HUBS, Bare)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [
            Workload(
                _key(transport, count, mode),
                f"{count:,} {SUBSCRIBERS[transport]} subscribers, {MODES[mode][0]}",
                METRICS,
            )
            for transport in SUBSCRIBERS
            for count in _counts(scale)
            for mode in MODES
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        for transport in SUBSCRIBERS:
            for count in _counts(lab.scale):
                try:
                    yield from self._saturate(peer, lab, transport, count)
                except Unavailable as reason:
                    yield from ((_key(transport, count, mode), str(reason)) for mode in MODES)

    def _saturate(self, peer: Peer, lab: Lab, transport: str, count: int) -> Iterator[tuple[str, Values | str]]:
        ask = peer.subscribe(transport)
        folder = lab.folder / f"{transport}-{count}"
        folder.mkdir()
        with peer.running(folder):
            open_all(peer, lab, count, ask)
            lab.generator.publish(peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=count)
            rate = math.inf
            for mode, (_, window, connections) in MODES.items():
                if window * count > rate * TOO_LONG:
                    why = f"at {rate:,.0f} deliveries a second {window} events on their way take over {TOO_LONG} s"
                    yield _key(transport, count, mode), why
                    continue
                events = max(window * 2, lab.scale.of(400_000, 20_000) // count)
                words = {"seconds": LONGEST, "window": window, "connections": connections}
                found = delivered(peer, lab, count, events=events, **words)
                rate = found["deliveries_per_second"]
                yield _key(transport, count, mode), found
            lab.generator.close()


def _counts(scale: Scale) -> tuple[int, int]:
    return scale.of(1_000, 100), scale.of(10_000, 1_000)


def _key(transport: str, count: int, mode: str) -> str:
    return f"{transport}-{count}-{mode}"
