"""Idle CPU: what ten thousand subscribers cost while only heartbeats go out."""

from collections.abc import Iterator, Sequence

from bench.cases.shared import open_all
from bench.peers import HUBS, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

METRICS = (
    Metric("percent_of_a_core", "% of one core", more_is_better=False),
    Metric("generator_percent", "% generator", more_is_better=False),
    Metric("flaws", "streams that ended", more_is_better=False),
)


class Idle(Case):
    name = "idle"
    title = "CPU while nothing is published"
    method = "The server's CPU time over half a minute with all subscribers open, each server with its own heartbeat."

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in HUBS]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [Workload("sse", f"{_count(scale):,} SSE subscribers", METRICS)]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        seconds = lab.scale.of(30, 5)
        with peer.running(lab.folder):
            open_all(peer, lab, _count(lab.scale), peer.subscribe("sse"))
            lab.generator.watch(seconds=lab.scale.of(5, 1))
            before = peer.cpu_seconds()
            found = lab.generator.watch(seconds=seconds)
            spent = peer.cpu_seconds() - before
        yield (
            "sse",
            {
                "percent_of_a_core": spent / seconds * 100,
                "generator_percent": found["generator_cpu_seconds"] / seconds * 100,
                "flaws": _count(lab.scale) - found["open"],
            },
        )


def _count(scale: Scale) -> int:
    return scale.of(10_000, 1_000)
