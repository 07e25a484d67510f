"""Cases that ask the same over SSE and over WebSocket, each of a server of its own."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from bench.cache import Unavailable
from bench.generator import Ask
from bench.peers import Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

SUBSCRIBERS = {"sse": "SSE", "websocket": "WebSocket"}


class OverEach(Case):
    """One workload for each transport."""

    peers: ClassVar[Sequence[type[Peer]]]
    metrics: ClassVar[tuple[Metric, ...]]
    count: ClassVar[tuple[int, int]]  # subscribers, in full and in a quick trial

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in self.peers]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        count = scale.of(*self.count)
        return [Workload(key, f"{count:,} {name} subscribers", self.metrics) for key, name in SUBSCRIBERS.items()]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        for transport in SUBSCRIBERS:
            try:
                yield transport, self._measure(peer, lab, transport)
            except Unavailable as reason:
                yield transport, str(reason)

    def _measure(self, peer: Peer, lab: Lab, transport: str) -> Values:
        ask = peer.subscribe(transport)
        folder = lab.folder / transport
        folder.mkdir()
        with peer.running(folder):
            found = self.over(peer, lab, ask, lab.scale.of(*self.count))
            lab.generator.close()
        return found

    @abstractmethod
    def over(self, peer: Peer, lab: Lab, ask: Ask, count: int) -> Values:
        """Measure the running server with `count` subscribers that ask so."""
