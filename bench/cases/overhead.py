"""Overhead: what six steps that do nothing cost an event."""

from collections.abc import Iterator, Sequence

from bench.cases.shared import published
from bench.peers import EventStream, Peer
from bench.peers.eventstream import NOOP, config
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

BATCH = 1_000
MANY = 24  # steps: more than six, so that the difference stands out of the noise
METRICS = (
    Metric("us_per_event_for_six", "us CPU for 6 steps", more_is_better=False),
    Metric("us_without", "us CPU each without", more_is_better=False),
    Metric("us_with_many", f"us CPU each with {MANY}", more_is_better=False),
    Metric("flaws", "flaws", more_is_better=False),
)


class Overhead(Case):
    name = "overhead"
    title = "A pipeline of 6 steps that do nothing"
    method = (
        f"The server's CPU time an event in batches of 1,000, into a store in memory, with {MANY} steps "
        f"that return the event as it came, less the same without them; divided by {MANY // 6}."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(EventStream)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [Workload("batch", "batches of 1,000", METRICS)]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        without, with_many = (self._cpu(steps, lab) for steps in (0, MANY))
        yield (
            "batch",
            {
                "us_per_event_for_six": (with_many["server_cpu_us_per_event"] - without["server_cpu_us_per_event"])
                * 6
                / MANY,
                "us_without": without["server_cpu_us_per_event"],
                "us_with_many": with_many["server_cpu_us_per_event"],
                "flaws": without["flaws"] + with_many["flaws"],
            },
        )

    def _cpu(self, steps: int, lab: Lab) -> Values:
        folder = lab.folder / f"{steps}-steps"
        folder.mkdir()
        settings = config(store="memory: {}", steps=", ".join([*["noop"] * steps, "persist", "fan_out"]))
        server = EventStream(settings, plugins=(NOOP,))
        with server.running(folder):
            request = server.publish_batch(BATCH)
            lab.generator.publish(server.port, request, events=5)
            return published(server, lab, request, events=lab.scale.of(100, 20), seconds=20)
