"""Fan-out: many subscribers, the same events; how many deliveries a second, at what cost."""

from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.shared import DELIVERY, OPEN_FEW, delivered
from bench.peers import HUBS, Bare, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

SUBSCRIBERS = {"sse": "SSE", "websocket": "WebSocket"}
LONGEST = 10  # seconds of publishing: a slow server is not waited for
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
            try:
                ask = peer.subscribe(transport)
            except Unavailable as reason:
                yield from (
                    (_key(transport, count, mode), str(reason)) for count in _counts(lab.scale) for mode in MODES
                )
                continue
            for count in _counts(lab.scale):
                folder = lab.folder / f"{transport}-{count}"
                folder.mkdir()
                with peer.running(folder):
                    lab.generator.open(peer.port, count, ask, waiting=OPEN_FEW)
                    lab.generator.publish(
                        peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=count
                    )
                    for mode, (_, window, connections) in MODES.items():
                        events = max(window * 2, lab.scale.of(600_000, 20_000) // count)
                        yield (
                            _key(transport, count, mode),
                            delivered(
                                peer, lab, count, events=events, seconds=LONGEST, window=window, connections=connections
                            ),
                        )
                    lab.generator.close()


def _counts(scale: Scale) -> tuple[int, int]:
    return scale.of(1_000, 100), scale.of(10_000, 1_000)


def _key(transport: str, count: int, mode: str) -> str:
    return f"{transport}-{count}-{mode}"
