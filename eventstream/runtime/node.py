"""All running state of one worker, built from a checked configuration by `build_node`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pluggy

from eventstream.components.component import Component
from eventstream.components.key import Key
from eventstream.components.output import Format, Output, Result, Route, Start, Submission
from eventstream.components.step import Request
from eventstream.components.store import Page
from eventstream.config.model import Settings
from eventstream.errors import Reject
from eventstream.events.filter import Filter
from eventstream.runtime import follow, sinks
from eventstream.runtime.hub import Hub
from eventstream.runtime.pipeline import Pipeline
from eventstream.runtime.places import Places
from eventstream.runtime.publish import Published, Publisher, unpack
from eventstream.runtime.replay import Replay
from eventstream.telemetry.bounded import Bounded
from eventstream.telemetry.log import get_logger
from eventstream.telemetry.metrics import Metrics

log = get_logger("node")

SUSPICIOUS = frozenset({"signature", "quota"})  # reasons of refusals that are logged at a bounded rate


class Platform(sinks.Platform, Protocol):
    """What a node needs of the world: real time and gevent in the worker, plain calls in tests."""

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run a blocking native call off the event loop."""

    def now(self) -> float:
        """Return wall time in Unix seconds."""


class Node:
    """One worker's store, ledger, pipelines, hub and outputs. Implements `Services` and `Delivery`."""

    def __init__(
        self,
        settings: Settings,
        manager: pluggy.PluginManager,
        routes: Sequence[Route],
        platform: Platform,
        metrics: Metrics,
    ) -> None:
        """Open everything; what was opened is closed again when this fails."""
        self.settings = settings
        self.metrics = metrics
        self.platform = platform
        self.keys: Mapping[str, Key] = settings.keys
        self.folder = settings.folder
        self.workers = settings.server.workers
        self.outputs: Sequence[Output] = settings.outputs
        self.routes = routes
        self.draining = False
        self.bounded = Bounded(log)  # lines that a stranger can cause
        self.offload = platform.offload
        self.pause = platform.pause
        self.now = platform.now
        self.count = metrics.count
        self.store = settings.store
        with ExitStack() as closing:
            self._open(self.store, closing)
            self.ledger = self.store.open_ledger()
            closing.callback(self.ledger.close)
            self.places = Places(self.store)
            self.growth = follow.Growth()
            limits = settings.server.limits
            self.hub = Hub(self.store, platform, metrics, cursor=self.places.text, capacity=limits.subscribers)
            self.replay = Replay(self.hub, platform)
            pipelines = [Pipeline(spec, metrics) for spec in settings.pipelines]
            self._publisher = Publisher(pipelines, self.store, manager, metrics, queue=limits.queue)
            for component in self._components():
                self._open(component, closing)
            self.store.watch(self._grown, lambda payload: self.hub.announce(unpack(payload)))
            self._closing = closing.pop_all()

    def _components(self) -> Iterator[Component]:
        for spec in self.settings.pipelines:
            for placed in spec.steps:
                yield placed.step
        yield from self.outputs
        yield from self.routes

    def _open(self, component: Component, closing: ExitStack) -> None:
        closing.callback(component.close)  # also after an `open` that failed halfway
        component.open(self)

    def _grown(self, head: int) -> None:
        self.hub.grown(head)
        self.growth.grown(head)

    def close(self) -> None:
        """Give everything back, last opened first."""
        self.hub.stop()
        self._closing.close()

    # -- Delivery ------------------------------------------------------------------------------

    def start(self, place: str | None, *, lenient: bool = False) -> Start:
        """Resolve a place; see `eventstream.components.output.Delivery`."""
        if (place is None or place == "latest") and self.hub.groups:
            # The hub keeps up, so its place will do: a storm of new subscribers asks the store nothing.
            return Start(self.hub.tail.head)
        return self.places.start(place, lenient=lenient)

    def cursor(self, offset: int) -> str:
        """Return the text of a place."""
        return self.places.text(offset)

    def retry(self) -> float:
        """Return jittered seconds after which a client should reconnect."""
        return sinks.jittered_retry()

    def follow(self, filter: Filter, format: Format, start: Start, *, heartbeat: float) -> Iterator[bytes]:
        """Yield frames until the node drains."""
        return follow.frames(
            self.store, self.growth, filter, format, start,
            cursor=self.cursor, heartbeat=heartbeat, stopped=lambda: self.draining,
        )  # fmt: skip

    def wait_page(self, filter: Filter, after: int, limit: int, wait: float) -> Page:
        """Return the next page with a match, waiting up to `wait` seconds for one."""
        return follow.wait_page(self.store, self.growth, filter, after, limit, 0.0 if self.draining else wait)

    def publish(self, submission: Submission) -> list[Result]:
        """Run events through their pipelines; one result each, in order."""
        return self.ingest(submission).results

    def ingest(self, submission: Submission) -> Published:
        """Like `publish`, with what the steps want in the reply's head."""
        request = submission.request
        size = len(request.body) if request is not None else 0
        self.metrics.received(submission.form.value, len(submission.items), size)
        published = self._publisher.publish(submission)
        for _, refusal in published.refused:
            self.metrics.refused(refusal.reason)
            if refusal.reason in SUSPICIOUS:
                detail = refusal.private or refusal.detail
                self.bounded.note("refused", refusal.reason, detail=detail, client=submission.client, step=refusal.step)
        return published

    def forged(self, request: Request) -> Reject | None:
        """Return the refusal of a request that claims a signature no step accepts, else None."""
        return self._publisher.forged(request, request.client)

    def drain(self) -> None:
        """Take no new streams and end those there are."""
        self.draining = True
        self.hub.drain(self.retry)

    def observe(self, loop_lag: float) -> None:
        """Set the measured metrics and carry the counted ones over; called once a second."""
        hub = self.hub
        stats = self.store.stats()
        lag = max(0, stats["head"] - hub.tail.head) if hub.groups else 0
        lagging = len(hub.catch_up) + hub.sinks.blocked
        self.metrics.observe(store=stats, lag=lag, lagging=lagging, loop_lag=loop_lag)
        self.metrics.flush()
        self.bounded.flush()


def build_node(
    settings: Settings,
    manager: pluggy.PluginManager,
    routes: Sequence[type[Route]],
    platform: Platform,
    metrics: Metrics,
) -> Node:
    """Build and open a node; raises ConfigError or StoreBusy when a component cannot open."""
    return Node(settings, manager, [route() for route in routes], platform, metrics)
