"""Retention: whether removing old events stalls publishing."""

from collections.abc import Iterator, Sequence

from bench.cases.shared import ANSWER, published
from bench.peers import EventStream, Peer
from bench.peers.eventstream import config
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload, contender

RATE = 1_000
KEPT = 20_000
METRICS = (ANSWER[1], ANSWER[0], Metric("server_cpu_us_per_event", "us CPU each", more_is_better=False), ANSWER[-1])
RATIO = (Metric("times", "times the p99", more_is_better=False),)


class Trim(Case):
    name = "trim"
    title = "Publishing while retention removes old events"
    method = (
        f"{RATE:,} events a second over 16 connections, into a store that keeps {KEPT:,} events and is "
        "full, against one that keeps everything. Each answer is one sample."
    )

    def contenders(self) -> Sequence[Contender]:
        return [contender(EventStream)]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        return [
            Workload("keeping", "everything is kept", METRICS),
            Workload("trimming", "an old event goes for each that comes", METRICS),
            Workload("times", "trimming against keeping", RATIO),
        ]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        p99 = {}
        for key, kept in {"keeping": 5_000_000, "trimming": KEPT}.items():
            folder = lab.folder / key
            folder.mkdir()
            server = EventStream(config(events=kept))
            with server.running(folder):
                lab.generator.publish(server.port, server.publish_batch(1_000), events=KEPT // 1_000)
                seconds = lab.scale.of(20, 2)
                found = published(server, lab, server.publish(), seconds=seconds, rate=RATE, connections=16)
            p99[key] = found["answer_p99_us"]
            yield key, found
        yield "times", {"times": p99["trimming"] / max(1, p99["keeping"])}
