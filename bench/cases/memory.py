"""Memory: what ten thousand subscribers cost while nothing happens."""

from bench.cases.shared import open_all
from bench.cases.transports import OverEach
from bench.generator import Ask
from bench.peers import HUBS, Peer
from bench.study import Lab, Metric, Values

WARM = 20  # subscribers that come and go before the empty server is weighed


class Memory(OverEach):
    name = "memory"
    title = "Resident memory of an idle subscriber"
    method = (
        "Proportional resident memory (Pss) of all the server's processes with all subscribers open, "
        "less that of the same server before, by subscriber. Kernel socket buffers are not in it, for "
        "anybody."
    )
    peers = HUBS
    metrics = (
        Metric("kib_per_subscriber", "KiB each", more_is_better=False),
        Metric("empty_mib", "MiB empty server", more_is_better=False),
        Metric("open_seconds", "s to open all", more_is_better=False),
    )
    count = (10_000, 1_000)

    def over(self, peer: Peer, lab: Lab, ask: Ask, count: int) -> Values:
        lab.generator.open(peer.port, WARM, ask, waiting=WARM)  # what is made at first use is no subscriber's
        lab.generator.publish(peer.publish_port, peer.publish(), events=5, seconds=5, window=1, receivers=WARM)
        lab.generator.close()
        lab.generator.watch(seconds=lab.scale.of(4, 2))
        empty = peer.memory_bytes()
        seconds = open_all(peer, lab, count, ask)
        lab.generator.watch(seconds=lab.scale.of(3, 1))
        return {
            "kib_per_subscriber": (peer.memory_bytes() - empty) / count / 1024,
            "empty_mib": empty / 2**20,
            "open_seconds": seconds,
        }
