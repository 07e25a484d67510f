"""Memory: what ten thousand subscribers cost while nothing happens."""

from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.fan_out import SUBSCRIBERS
from bench.cases.shared import OPEN_FEW
from bench.peers import HUBS, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

WARM = 20  # subscribers that come and go before the empty server is weighed
METRICS = (
    Metric("kib_per_subscriber", "KiB each", more_is_better=False),
    Metric("empty_mib", "MiB empty server", more_is_better=False),
    Metric("open_seconds", "s to open all", more_is_better=False),
    Metric("flaws", "refused", more_is_better=False),
)


class Memory(Case):
    name = "memory"
    title = "Resident memory of an idle subscriber"
    method = (
        "Proportional resident memory (Pss) of all the server's processes with all subscribers open, "
        "less that of the same server before, by subscriber. Kernel socket buffers are not in it, for "
        "anybody."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in HUBS]

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
                lab.generator.open(peer.port, WARM, ask, waiting=WARM)  # what is made at first use is no subscriber's
                lab.generator.publish(peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=WARM)
                lab.generator.close()
                lab.generator.watch(seconds=lab.scale.of(4, 2))
                empty = peer.memory_bytes()
                opened = lab.generator.open(peer.port, count, ask, waiting=OPEN_FEW)
                lab.generator.watch(seconds=lab.scale.of(3, 1))
                full = peer.memory_bytes()
                lab.generator.close()
            yield (
                transport,
                {
                    "kib_per_subscriber": (full - empty) / count / 1024,
                    "empty_mib": empty / 2**20,
                    "open_seconds": opened["seconds"],
                    "flaws": count - opened["opened"] + opened["refused"],
                },
            )


def _count(scale: Scale) -> int:
    return scale.of(10_000, 1_000)
