"""Prometheus metrics over all workers of one server.

What is counted on hot paths is a plain number here, and reaches Prometheus' shared files in `flush`,
once a second. Every label has a bounded set of values.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import traceback
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

MAX_FINGERPRINTS = 100
MAX_COUNTED = 100
MAX_LABELS = 500  # label sets of one counter; what comes beyond them is counted under OTHER
OTHER = "other"
_LATENCY = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


def share(folder: str) -> None:
    """Keep all metrics of this and later forked processes in files under `folder`; call it before any exist."""
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # where the library's value class looks
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # it has no annotations


def forget_worker(pid: int, folder: str) -> None:
    """Drop a dead worker's gauges, and add its counters to those of all dead workers.

    So the files do not grow in number. Nobody reads them meanwhile: a sum of some moment in between
    would look like a restart to Prometheus.
    """
    with _locked(folder, fcntl.LOCK_EX):
        for path in Path(folder).glob(f"*_{pid}.db"):
            kind = path.name.removesuffix(f"_{pid}.db")
            if not kind.startswith("gauge_"):
                _add_to(path.with_name(f"{kind}_dead.db"), path)
            path.unlink()


def _add_to(total: Path, part: Path) -> None:
    sums = MmapedDict(str(total))  # type: ignore[no-untyped-call]  # the library's own has no annotations
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(part)):  # type: ignore[no-untyped-call]
            before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
            sums.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        sums.close()  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: str, how: int) -> Iterator[None]:
    with (Path(folder) / "lock").open("ab") as file:  # closing it frees the lock
        fcntl.flock(file, how)
        yield


class StepTally:
    """What one step has done since the last second."""

    __slots__ = ("events", "seconds")

    def __init__(self) -> None:
        """Start with nothing."""
        self.events = 0
        self.seconds: float = 0


class Metrics:
    """One worker's metrics."""

    def __init__(self, folder: str | None = None) -> None:
        """With `folder` (see `share`), `render` shows the sum over all workers; else this process alone."""
        self._folder = folder
        registry = self._registry = CollectorRegistry()

        def counter(name: str, help: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"eventstream_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str, labels: tuple[str, ...] = (), mode: str = "livesum") -> Gauge:
            return Gauge(f"eventstream_{name}", help, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._received = counter("events_received", "Events that producers sent.", ("form",))
        self._bytes_in = counter("bytes_received", "Bytes of request bodies.")
        self._stored = counter("events_stored", "Events appended to the store.")
        self._repeated = counter("events_repeated", "Events that had been stored before.")
        self._refused = counter("refusals", "Events and requests refused, by reason.", ("reason",))
        self._dropped = counter("events_dropped", "Events ended quietly by a step, by reason.", ("reason",))
        self._step_seconds = counter("step_seconds", "Time spent in a step.", ("step",))
        self._step_events = counter("step_events", "Events a step was given.", ("step",))
        self._append_seconds = Histogram(
            "eventstream_store_append_seconds", "Time from append to receipt.", registry=registry, buckets=_LATENCY
        )
        self._sent = counter("events_sent", "Event frames sent to subscribers.")
        self._replayed = counter("events_replayed", "Event frames read from the store for subscribers behind.")
        self._bytes_out = counter("bytes_sent", "Bytes written to subscribers.")
        self._fell_behind = counter("subscribers_fell_behind", "Times a live subscriber's socket was full.")
        self._ephemeral_lost = counter("ephemeral_events_lost", "Ephemeral events somebody could not take.")
        self._connections = gauge("subscribers", "Open streams, by output.", ("output",))
        self._closed = counter("subscribers_closed", "Streams closed, by output and reason.", ("output", "reason"))
        self._lagging = gauge("subscribers_lagging", "Subscribers that are behind the head.")
        self._lag = gauge("lag_events", "How far the hub is behind the store, in offsets.", mode="livemax")
        self._loop_lag = gauge("loop_lag_seconds", "How late the event loop ran a timer, last second.", mode="livemax")
        self._memory = gauge("memory_bytes", "Resident memory of all workers.")
        self._store = gauge("store", "Numbers of the store, by name.", ("name",), mode="livemostrecent")
        self._errors = counter("errors", "Failures in the server's own code, by fingerprint.", ("fingerprint",))
        self._counts = counter("counts", "What components count, by their own words.", ("what",))
        self._counted: set[str] = set()
        self._fingerprints: set[str] = set()
        self.bytes_in = self.bytes_out = self.fell_behind = self.ephemeral_lost = 0
        self._events_sent = self._events_replayed = 0
        self._tallies: dict[tuple[Counter, tuple[str, ...]], float] = {}
        self._appends = [0] * (len(_LATENCY) + 1)  # by bucket
        self._appended = 0.0  # seconds in all
        self._steps: dict[str, StepTally] = {}
        self._seen: dict[Counter, set[tuple[str, ...]]] = {}

    # -- counting ---------------------------------------------------------------------------------

    def _tally(self, counter: Counter, amount: float, *labels: str) -> None:
        key = (counter, labels)
        self._tallies[key] = self._tallies.get(key, 0) + amount

    def _bounded(self, counter: Counter, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels, or OTHER for all of them: a plugin may give a reason that a stranger made up."""
        seen = self._seen.setdefault(counter, set())
        if labels not in seen and len(seen) >= MAX_LABELS:
            return (OTHER,) * len(labels)
        seen.add(labels)
        return labels

    def received(self, form: str, events: int, size: int) -> None:
        """Count a request's events and body bytes."""
        self.bytes_in += size
        self._tally(self._received, events, form)

    def stored(self, new: int, repeated: int, seconds: float) -> None:
        """Count an append and its time to receipt."""
        self._tally(self._stored, new)
        if repeated:
            self._tally(self._repeated, repeated)
        self._appends[bisect_left(_LATENCY, seconds)] += 1
        self._appended += seconds

    def refused(self, reason: str, events: int = 1) -> None:
        """Count refusals under their reason."""
        self._tally(self._refused, events, reason)

    def dropped(self, reason: str) -> None:
        """Count an event that a step ended quietly."""
        self._tally(self._dropped, 1, reason)

    def count(self, what: str, amount: float = 1) -> None:
        """Count what a component counts, under its own word."""
        if what not in self._counted and len(self._counted) >= MAX_COUNTED:
            what = "other"
        self._counted.add(what)
        self._tally(self._counts, amount, what)

    def step(self, place: str) -> StepTally:
        """Return where the step of this place is counted."""
        return self._steps.setdefault(place, StepTally())

    def sent(self, frames: int, members: int) -> None:
        """Count frames sent to each of `members`."""
        self._events_sent += frames * members

    def replayed(self, frames: int) -> None:
        """Count frames served from the store."""
        self._events_replayed += frames

    def connections(self, output: str, change: int) -> None:
        """Count an opened (+1) or closed (-1) stream."""
        self._connections.labels(output).inc(change)

    def closed(self, output: str, reason: str) -> None:
        """Count why a stream was closed."""
        self._tally(self._closed, 1, output, reason)

    def error(self, error: BaseException) -> str:
        """Count a failure; returns its fingerprint: equal for equal places, without values."""
        frames = traceback.extract_tb(error.__traceback__)
        text = type(error).__name__ + "".join(f"|{Path(frame.filename).name}:{frame.name}" for frame in frames)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
        if fingerprint not in self._fingerprints and len(self._fingerprints) >= MAX_FINGERPRINTS:
            fingerprint = OTHER
        self._fingerprints.add(fingerprint)
        self._errors.labels(fingerprint).inc()
        return fingerprint

    # -- showing ----------------------------------------------------------------------------------

    def observe(self, *, store: dict[str, float], lag: int, lagging: int, loop_lag: float) -> None:
        """Set what is measured rather than counted."""
        for name, value in store.items():
            self._store.labels(name).set(value)
        self._lag.set(lag)
        self._lagging.set(lagging)
        self._loop_lag.set(loop_lag)
        self._memory.set(resident_bytes())

    def flush(self) -> None:
        """Carry the plain numbers into Prometheus' files."""
        tallies, self._tallies = self._tallies, {}
        for (counter, labels), amount in tallies.items():
            (counter.labels(*self._bounded(counter, labels)) if labels else counter).inc(amount)
        for place, step in self._steps.items():
            self._step_seconds.labels(place).inc(step.seconds)
            self._step_events.labels(place).inc(step.events)
            step.seconds = step.events = 0
        self._flush_appends()
        for name in ("bytes_in", "bytes_out", "fell_behind", "ephemeral_lost"):
            getattr(self, f"_{name}").inc(getattr(self, name))
            setattr(self, name, 0)
        self._sent.inc(self._events_sent)
        self._replayed.inc(self._events_replayed)
        self._events_sent = self._events_replayed = 0

    def _flush_appends(self) -> None:
        """Do what `Histogram.observe` does, for all appends of a second at once."""
        self._append_seconds._sum.inc(self._appended)  # noqa: SLF001  # a test compares with `observe`
        for bucket, amount in zip(self._append_seconds._buckets, self._appends, strict=True):  # noqa: SLF001  # as above
            if amount:
                bucket.inc(amount)
        self._appends = [0] * len(self._appends)
        self._appended = 0.0

    def render(self) -> bytes:
        """Return the exposition text, over all workers where metrics are shared."""
        self.flush()
        if self._folder is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        with _locked(self._folder, fcntl.LOCK_SH):
            multiprocess.MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
            return generate_latest(registry)


def resident_bytes() -> int:
    """Return this process's resident memory."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        """Start."""
        self._began = time.perf_counter()

    def read(self) -> float:
        """Return seconds so far."""
        return time.perf_counter() - self._began
