"""Growth: what publishing costs beside subscribers that do not match."""

from collections.abc import Iterator, Sequence

from bench.cases.shared import ANSWER, open_all, published
from bench.peers import EventStream, Peer
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

METRICS = (
    Metric("server_cpu_us_per_event", "us CPU each", more_is_better=False),
    Metric("events_per_second", "events/s", more_is_better=True),
    *ANSWER,
)
RATIO = (Metric("times", "times the CPU", more_is_better=False),)


class Growth(Case):
    name = "growth"
    title = "Publishing beside subscribers of other subjects"
    method = (
        "Every subscriber asks for a subject of its own; all events carry the subject of one. Eight "
        "connections publish one event a request for a fixed time; the one subscriber gets every event."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(EventStream)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        few, many = _counts(scale)
        return [
            Workload("few", f"{few} subscribers on {few} subjects, one matches", METRICS),
            Workload("many", f"{many:,} subscribers on {many:,} subjects, one matches", METRICS),
            Workload("times", f"{many:,} subscribers against {few}", RATIO),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        cost = {}
        server = EventStream()
        with server.running(lab.folder):
            for key, count in zip(("few", "many"), _counts(lab.scale), strict=True):
                # the generator puts each stream's number in the place of ########
                open_all(server, lab, count, server.subscribe("sse", "subject=########"))
                request = server.publish(subject=f"{count // 2:08d}")
                lab.generator.publish(server.port, request, events=200, connections=8, receivers=1)
                found = published(
                    server, lab, request, seconds=lab.scale.of(5, 1), connections=8, window=200, receivers=1
                )
                cost[key] = found["server_cpu_us_per_event"]
                yield key, found
                lab.generator.close()
        yield "times", {"times": cost["many"] / cost["few"]}


def _counts(scale: Scale) -> tuple[int, int]:
    return 10, scale.of(10_000, 1_000)
