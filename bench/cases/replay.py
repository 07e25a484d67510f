"""Replay: how long until the first event, and until ten that a filter finds, in a short and in a long history."""

from collections.abc import Iterator, Sequence

from bench.generator import get
from bench.peers import EventStream, Peer
from bench.peers.eventstream import LONG_HISTORY
from bench.study import Case, Contender, Lab, Metric, Scale, Values, Workload

BATCH = 500
RARE = 10  # events of a rare subject, spread over the history
METRICS = (
    Metric("times", "times as long", more_is_better=False),
    Metric("short_us", "us in the short history", more_is_better=False),
    Metric("long_us", "us in the long history", more_is_better=False),
    Metric("flaws", "not reached", more_is_better=False),
)
RESIDENT = (
    Metric("times", "times the memory", more_is_better=False),
    Metric("short_mib", "MiB, short history", more_is_better=False),
    Metric("long_mib", "MiB, long history", more_is_better=False),
)
QUESTIONS = {
    "start": "the first event from the start",
    "middle": "the first event from the middle",
    "end": "the first event near the end",
    "exact": f"{RARE} events of one subject among all",
    "prefix": f"{RARE} events of a subject prefix among all",
}


class Replay(Case):
    name = "replay"
    title = "Replay against the length of the history"
    method = (
        "A new SSE connection with a place or a filter, timed from connecting to the event asked for: "
        "the median of several, in a store of few events and in a store of many. The rare events lie "
        "evenly in both. Memory: the server after all of it."
    )

    def contenders(self) -> Sequence[Contender]:
        return [Contender("eventstream", "Event-Stream", lambda: EventStream(LONG_HISTORY))]

    def workloads(self, scale: Scale) -> Sequence[Workload]:
        short, long = _histories(scale)
        shown = [
            Workload(key, f"{text}: {long:,} events against {short:,}", METRICS) for key, text in QUESTIONS.items()
        ]
        return [*shown, Workload("memory", f"resident memory: {long:,} events stored against {short:,}", RESIDENT)]

    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        short, long = (self._history(count, lab) for count in _histories(lab.scale))
        for key in QUESTIONS:
            yield (
                key,
                {
                    "times": long[key][0] / max(1, short[key][0]),
                    "short_us": short[key][0],
                    "long_us": long[key][0],
                    "flaws": short[key][1] + long[key][1],
                },
            )
        memory = [found["memory"][0] for found in (short, long)]
        yield "memory", {"times": memory[1] / memory[0], "short_mib": memory[0], "long_mib": memory[1]}

    def _history(self, count: int, lab: Lab) -> dict[str, tuple[float, float]]:
        server = EventStream(LONG_HISTORY)
        folder = lab.folder / f"{count}"
        folder.mkdir()
        with server.running(folder):
            places = _fill(server, count, lab)
            asks = {
                "start": "after=earliest",
                "middle": f"after={places[RARE // 2]}",
                "end": f"after={places[-1]}",
                "exact": "after=earliest&subject=rare.one",
                "prefix": "after=earliest&subject=rare.*",
            }
            found = {key: _time(server, query, RARE if "subject" in query else 1, lab) for key, query in asks.items()}
            return {**found, "memory": (server.memory_bytes() / 2**20, 0)}


def _fill(server: EventStream, count: int, lab: Lab) -> list[str]:
    """Store `count` events, rare ones evenly among them; returns the places of the rare ones."""
    places = []
    batch = min(BATCH, count // RARE // 2)
    common = server.publish_batch(batch, subject="common")
    for _ in range(RARE):
        receipt = server.receipt(server.publish(subject="rare.one").replace(b"0" * 16, b"f" * 16))
        places.append(receipt["cursor"])
        lab.generator.publish(server.port, common, events=count // RARE // batch, connections=2)
    return places


def _time(server: EventStream, query: str, marks: int, lab: Lab) -> tuple[float, float]:
    request = get(f"/events?{query}", Accept="text/event-stream")
    found = lab.generator.until(server.port, request, marks=marks, repeats=lab.scale.of(21, 5))
    return found["until_p50_us"], found["repeats"] - found["reached"]


def _histories(scale: Scale) -> tuple[int, int]:
    return 1_000, scale.of(1_000_000, 20_000)
