"""Storms: everybody comes back at once, far behind; and a restart under everybody."""

from collections.abc import Iterator, Sequence

from bench.cache import Unavailable
from bench.cases.shared import coming_back, flaws, highest_memory, learn_place
from bench.peers import HUBS, EventStream, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

RATE = 50
PUBLISHERS = 16
BEHIND = (
    Metric("caught_up_seconds", "s until all caught up", more_is_better=False),
    Metric("answer_p99_us", "us p99 of publishing", more_is_better=False),
    Metric("answer_max_us", "us worst publish", more_is_better=False),
    Metric("grown_mib", "MiB grown at most", more_is_better=False),
    Metric("flaws", "flaws", more_is_better=False),
)
RESTART = (
    Metric("came_back_peak", "back in the busiest 100 ms", more_is_better=False),
    Metric("came_back", "came back", more_is_better=True),
    Metric("answer_p99_us", "us p99 of publishing", more_is_better=False),
    Metric("flaws", "flaws", more_is_better=False),
)


class Storms(Case):
    name = "storms"
    title = "Storms of subscribers"
    method = (
        "Reconnect: all subscribers connect at once with a place far back, while producers that were connected "
        f"before publish {RATE} events a second; each must get every event once. Restart: the server is stopped "
        "and started on its port under all subscribers, which come back as an EventSource does, and events are "
        "published meanwhile."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(peer) for peer in HUBS]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        count, behind = _counts(scale)
        return [
            Workload("behind", f"{count:,} SSE subscribers reconnect at once, {behind:,} events behind", BEHIND),
            Workload("restart", f"a restart under {count:,} SSE subscribers", RESTART),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        folder = lab.folder / "behind"
        folder.mkdir()
        with peer.running(folder):
            yield "behind", self._behind(peer, lab)
        if isinstance(peer, EventStream):
            yield "restart", self._restart(lab)
        else:
            yield "restart", f"{peer.title} promises nothing over a restart on this setting"

    def _behind(self, peer: Peer, lab: Lab) -> Values | str:
        count, behind = _counts(lab.scale)
        try:
            ask = coming_back(peer.subscribe("sse"), learn_place(peer))
        except Unavailable as reason:
            return str(reason)
        lab.generator.publish(peer.publish_port, peer.publish(), events=behind, connections=8)
        with highest_memory(peer) as seen:
            lab.generator.dial(peer.publish_port, PUBLISHERS)
            lab.generator.open(peer.port, count, ask, waiting=count, wait=0)
            found = lab.generator.publish(
                peer.publish_port, peer.publish(), rate=RATE, seconds=lab.scale.of(20, 3), connections=PUBLISHERS,
                receivers=count, behind=behind,
            )  # fmt: skip
        missing = abs(count * behind - found["caught_up"])
        return {
            "caught_up_seconds": found["caught_up_seconds"],
            "answer_p99_us": found["answer_p99_us"],
            "answer_max_us": found["answer_max_us"],
            "grown_mib": (max(seen) - seen[0]) / 2**20,
            "flaws": flaws(found) + missing,
        }

    def _restart(self, lab: Lab) -> Values:
        count, _ = _counts(lab.scale)
        folder = lab.folder / "restart"
        folder.mkdir()
        server = EventStream()
        try:
            server.launch(folder)
            lab.generator.open(server.port, count, server.subscribe("sse"), waiting=200, follow=1)
            lab.generator.publish(server.port, server.publish(), events=20, window=1, receivers=count)
            server.stop()
            server.launch(folder)  # on the same port
            found = lab.generator.publish(
                server.port, server.publish(), rate=RATE, seconds=lab.scale.of(20, 10), receivers=count, connections=16
            )
        finally:
            server.stop()
        found["lost_connections"] = 0  # they were meant to be
        return {
            "came_back_peak": found["came_back_peak"],
            "came_back": found["came_back"],
            "answer_p99_us": found["answer_p99_us"],
            "flaws": flaws(found),
        }


def _counts(scale: Scale) -> tuple[int, int]:
    return scale.of(5_000, 300), scale.of(1_000, 100)
