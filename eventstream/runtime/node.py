"""All running state of one worker, built from a checked configuration by `build_node`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from typing import Any, Protocol

import pluggy

from eventstream.components.chain import ChainMark
from eventstream.components.component import Component
from eventstream.components.identity import Identity
from eventstream.components.key import Keys
from eventstream.components.keyring import LiveKeys
from eventstream.components.output import Format, Output, Result, Route, Start, Submission
from eventstream.components.step import Request
from eventstream.components.store import Page
from eventstream.config.model import Settings
from eventstream.errors import Reject
from eventstream.events.filter import Filter
from eventstream.runtime import follow, revocations, sinks
from eventstream.runtime.access import Access
from eventstream.runtime.account import SUSPICIOUS, note_published, note_refused
from eventstream.runtime.at_rest import sealed_if
from eventstream.runtime.chain_head import ChainHead
from eventstream.runtime.hub import Hub
from eventstream.runtime.leases import Leases
from eventstream.runtime.pipeline import Pipeline
from eventstream.runtime.places import Places
from eventstream.runtime.publish import Publisher, under_identity, unpack
from eventstream.runtime.published import Published
from eventstream.runtime.replay import Replay
from eventstream.runtime.revocations import Revocations
from eventstream.telemetry.audit import Audit
from eventstream.telemetry.bounded import Bounded
from eventstream.telemetry.log import get_logger
from eventstream.telemetry.metrics import Metrics

log = get_logger("node")
audit = get_logger("audit")


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
        platform: Platform,
        metrics: Metrics,
    ) -> None:
        """Open everything; what was opened is closed again when this fails."""
        self.settings = settings
        self.metrics = metrics
        self.platform = platform
        self.keyring = settings.keyring
        self.keys = Keys(settings.keys) if self.keyring is None else LiveKeys(settings.keys, self.keyring)
        self.folder = settings.folder
        self.workers = settings.server.workers
        self.outputs: Sequence[Output] = settings.outputs
        self.routes: Sequence[Route] = settings.routes
        self.draining = False
        self.bounded = Bounded(log)  # lines that a stranger can cause
        self.offload = platform.offload
        self.pause = platform.pause
        self.now = platform.now
        self.count = metrics.count
        self.store = sealed_if(settings.store, settings.at_rest)
        with ExitStack() as closing:
            self._open(self.store, closing)
            self.ledger = self.store.open_ledger()
            closing.callback(self.ledger.close)
            if self.keyring is not None:
                self._open(self.keyring, closing)
            self.places = Places(self.store)
            self.growth = follow.Growth()
            self._head = ChainHead(settings.chain, self.store, self.ledger, self._tell_head) if settings.chain else None
            limits = settings.server.limits
            self.audit = Audit(audit, settings.server.audit.rate) if settings.server.audit is not None else None
            revoked = Revocations(self.ledger, self.now)
            self.access = (
                None if settings.auth is None else Access(settings.auth, revoked, self.now, self.refused, self.keys)
            )
            watched = self.access is not None or self.audit is not None
            self.hub = Hub(
                self.store, platform, metrics, cursor=self.places.text, capacity=limits.subscribers,
                leases=Leases(self.access, self.audit, self.now) if watched else None,
            )  # fmt: skip
            if self.access is not None:
                revoked.watch(self.hub.revoke)
            self.replay = Replay(self.hub, platform)
            pipelines = [Pipeline(spec, metrics) for spec in settings.pipelines]
            self._publisher = Publisher(
                pipelines, self.store, manager, metrics, queue=limits.queue, access=self.access, pause=self.pause
            )
            for component in self._components():
                self._open(component, closing)
            self._listen()
            self._closing = closing.pop_all()

    def _listen(self) -> None:
        self.store.echo(self.hub.echoed)
        self.store.watch(self._grown, lambda payload: self.hub.announce(unpack(payload)))

    def _components(self) -> Iterator[Component]:
        for spec in self.settings.pipelines:
            for placed in spec.steps:
                yield placed.step
        yield from self.outputs
        yield from self.routes
        if self.settings.auth is not None:
            yield from self.settings.auth.chain

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

    @cached_property
    def identifies(self) -> bool:
        """Whether a signature may tell who publishes."""
        return any(placed.step.identifies for spec in self.settings.pipelines for placed in spec.steps)

    def enter(self, identity: Identity | None, client: str) -> None:
        """Raise Reject for who may neither publish nor subscribe to anything."""
        if self.access is not None and not self.identifies:
            self.access.enter(identity, client)

    def admit(self, identity: Identity | None, filter: Filter, client: str = "") -> None:
        """Raise Reject unless `identity` may subscribe to all of `filter`."""
        if self.access is not None:
            self.access.admit(identity, filter, client)

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

    def follow(
        self, filter: Filter, format: Format, start: Start, *, heartbeat: float, identity: Identity | None = None
    ) -> Iterator[bytes]:
        """Yield frames until the node drains, or the identity counts no more."""
        self.admit(identity, filter)
        return follow.frames(
            self.store, self.growth, filter, format, start,
            cursor=self.cursor, heartbeat=heartbeat, ended=partial(self._ended, identity),
        )  # fmt: skip

    def wait_page(self, filter: Filter, after: int, limit: int, wait: float, identity: Identity | None = None) -> Page:
        """Return the next page with a match, waiting for one: up to `wait` seconds, while `follow` would go on."""
        return follow.wait_page(
            self.store, self.growth, filter, after, limit, wait, ended=partial(self._ended, identity)
        )

    def _ended(self, identity: Identity | None) -> str | None:
        if self.draining:
            return ""
        return self.access.ended(identity) if self.access is not None and identity is not None else None

    def publish(self, submission: Submission) -> list[Result]:
        """Run events through their pipelines; one result each, in order."""
        return self.ingest(submission).results

    def ingest(self, submission: Submission) -> Published:
        """Like `publish`, with what the steps want in the reply's head."""
        request = submission.request
        size = len(request.body) if request is not None else 0
        self.metrics.received(submission.form, len(submission.items), size)
        if submission.identity is not None:
            submission = under_identity(submission, submission.identity)
        published = self._publisher.publish(submission)
        for refusal in published.refusals.values():
            self.metrics.refused(refusal.reason)
            if refusal.reason in SUSPICIOUS:
                detail = refusal.private or refusal.detail
                self.bounded.note("refused", refusal.reason, detail=detail, client=submission.client, step=refusal.step)
        if self.audit is not None:
            note_published(self.audit, submission, published)
        return published

    def refused(self, refusal: Reject, identity: Identity | None, client: str) -> None:
        """Count and log a refusal that is no event's."""
        self.metrics.refused(refusal.reason)
        who = identity.name if identity is not None else None
        detail = refusal.private or refusal.detail
        self.bounded.note("refused", refusal.reason, detail=detail, client=client, identity=who)
        if self.audit is not None:
            note_refused(self.audit, refusal, identity, client)

    def revoke(self, credential: str, seconds: float, by: Identity | None) -> float:
        """Let a credential count no more; return until when, in Unix seconds. Raises ValueError, StoreBusy."""
        revocations.revoke(self.ledger, credential, seconds)
        by_name = by.name if by is not None else "the admin socket"
        audit.info("revoked", credential=credential, seconds=seconds, by=by_name)
        return self.now() + seconds

    def forged(self, request: Request) -> Reject | None:
        """Return the refusal of a request that claims a signature no step accepts, else None."""
        refusal = self._publisher.forged(request, request.client)
        if refusal is not None:
            self.refused(refusal, request.identity, request.client)
        return refusal

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return the attributes of the event whose data the request's body is, or None: the body is the event."""
        return self._publisher.attributes(request)

    def _tell_head(self, head: ChainMark) -> None:
        audit.info("chain_head", offset=head.offset, cursor=self.places.text(head.offset), hash=head.hash.hex())

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
        if self.audit is not None:
            self.audit.flush()
        if self._head is not None:
            self._head.observe()


def build_node(
    settings: Settings,
    manager: pluggy.PluginManager,
    platform: Platform,
    metrics: Metrics,
) -> Node:
    """Build and open a node; raises ConfigError or StoreBusy when a component cannot open."""
    return Node(settings, manager, platform, metrics)
