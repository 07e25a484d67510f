"""From decoded events to receipts: route, run the pipelines, append once, announce."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import msgspec
import pluggy

from eventstream.components.identity import Identity
from eventstream.components.output import Sent, Stored, Submission
from eventstream.components.step import Context, Outcome, Request, Step
from eventstream.components.store import Entry, Receipt, Record, Store
from eventstream.errors import Drop, Reject, StoreBusy
from eventstream.events.codec import ANONYMOUS_SOURCE, Incoming, encode
from eventstream.events.event import Event
from eventstream.events.filter import EVERYTHING
from eventstream.hooks.specs import hookimpl
from eventstream.runtime.access import Access
from eventstream.runtime.pipeline import Pipeline, are_events
from eventstream.runtime.published import Published
from eventstream.telemetry.metrics import Metrics

EPHEMERAL_BYTES = 60 * 1024  # what one announcement carries, its envelope apart
_NOTHING = Event(id="-", source="-", type="-")  # stands for the event that could not be read


class _Pass(msgspec.Struct, eq=False):
    """One pipeline's share of a request. Once it was run, what is left of it is to be stored or sent."""

    pipeline: Pipeline
    context: Context
    positions: list[int] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)
    doubtful: dict[int, Reject] = msgspec.field(
        default_factory=dict
    )  # refused, unless a signature tells of somebody who may


class _Runner:
    """The server's own implementation of `eventstream_process`."""

    def __init__(self, pipelines: Mapping[str, Pipeline]) -> None:
        self._pipelines = pipelines

    @hookimpl
    def eventstream_process(self, pipeline: str, events: Sequence[Event], context: Context) -> list[Outcome]:
        return self._pipelines[pipeline].process(events, context, atomic=context.atomic)


class Publisher:
    """The way in for every event of one worker."""

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        store: Store,
        manager: pluggy.PluginManager,
        metrics: Metrics,
        *,
        queue: int,
        access: Access | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """At most `queue` requests wait for their commit; more are told 503. Without `access` everybody may publish.

        `pause` lets others run during a long batch.
        """
        self._pipelines = pipelines
        self._store = store
        self._metrics = metrics
        self._queue = queue
        self._access = access
        self._pause = pause
        self._waiting = 0
        steps = [placed.step for pipeline in pipelines for placed in pipeline.steps]
        self._readers = [step for step in steps if type(step).attributes is not Step.attributes]
        self._runner = _Runner({pipeline.name: pipeline for pipeline in pipelines})
        manager.register(self._runner, "eventstream.runtime")
        self._hook = manager.hook.eventstream_process

    def publish(self, submission: Submission) -> Published:
        """Run events through their pipelines; one result each, in order. Raises StoreBusy, StepError."""
        atomic = submission.atomic
        published = Published(submission.items)
        shares = self._route(submission, published)
        done: list[_Pass] = []
        try:
            for share in shares:
                if atomic and published.refusals:
                    break
                self._run(share, published)
                done.append(share)
            ephemeral = _pack_ephemeral([share for share in done if not share.pipeline.persist], published)
            if not (atomic and published.refusals):
                self._append(submission.items, done, published, atomic=atomic)
            if atomic and published.refusals:
                _undo(shares)
                published.take_back()
                return published
        except Exception:
            _undo(shares)
            raise
        for payload in ephemeral:
            self._metrics.ephemeral_lost += self._store.announce(payload)
        return published

    def forged(self, request: Request, client: str) -> Reject | None:
        """Return the refusal of a request that claims a signature no step accepts, else None."""
        claimed = [
            placed.step for pipeline in self._pipelines for placed in pipeline.steps if placed.step.claims(request)
        ]
        refusal: Reject | None = None
        for step in claimed:
            context = Context(request=request, client=client)
            try:
                step.process(_NOTHING, context)
            except Reject as error:
                refusal = error
            if context.key is not None:
                return None
        return refusal

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return the attributes of the event whose data the request's body is, as the first step knows them."""
        for step in self._readers:
            attributes = step.attributes(request)
            if attributes is not None:
                return attributes
        return None

    def _route(self, submission: Submission, published: Published) -> Sequence[_Pass]:
        """Sort the events by pipeline: the first whose `match` accepts the event as received."""
        judge = self._access.publisher(submission.identity) if self._access is not None else None
        whole = self._pipelines[0]
        if judge is None and whole.match.key == EVERYTHING.key and not published.refusals:
            # As good as always: one pipeline takes all, and nobody is to be judged.
            events = [item.event for item in submission.items]  # type: ignore[union-attr]  # none is a Reject
            return [_Pass(whole, self._context(whole, submission), list(range(len(events))), events)]
        shares: dict[str, _Pass] = {}
        for position, item in enumerate(submission.items):
            if isinstance(item, Reject):
                continue
            refusal = judge(item.event) if judge is not None else None
            pipeline = self._find(item.event)
            if refusal is not None and (pipeline is None or not pipeline.identifies):
                published.refuse(position, refusal)
                continue
            if pipeline is None:
                detail = f"no pipeline accepts events of type {item.event.type!r}"
                published.refuse(position, Reject(detail, status=422, reason="no_pipeline"))
                continue
            share = shares.get(pipeline.name)
            if share is None:
                share = shares[pipeline.name] = _Pass(pipeline, self._context(pipeline, submission))
            share.positions.append(position)
            share.events.append(item.event)
            if refusal is not None:
                share.doubtful[position] = refusal
        return list(shares.values())

    def _context(self, pipeline: Pipeline, submission: Submission) -> Context:
        return Context(
            pipeline.name, submission.request, submission.form, submission.client,
            identity=submission.identity, atomic=submission.atomic, pause=self._pause,
        )  # fmt: skip

    def _find(self, event: Event) -> Pipeline | None:
        for pipeline in self._pipelines:
            if pipeline.match.matches(event):
                return pipeline
        return None

    def _run(self, share: _Pass, published: Published) -> None:
        observed = len(self._hook.get_hookimpls()) > 1  # else straight to where the hook would take the call
        process = self._hook if observed else self._runner.eventstream_process
        results = process(pipeline=share.pipeline.name, events=share.events, context=share.context)
        if share.context.headers:
            published.headers.update(share.context.headers)
        published.contexts.append(share.context)
        if self._access is not None and (share.doubtful or share.context.key is not None):
            results = self._judge_signed(self._access, share, results)
        if are_events(results):
            share.events = list(results)
        else:
            self._end(share, results, published)

    def _end(self, share: _Pass, results: Sequence[Outcome], published: Published) -> None:
        """Set the results of what a step has ended; the rest of the share goes on."""
        positions, events = [], []
        for position, before, outcome in zip(share.positions, share.events, results, strict=True):
            if isinstance(outcome, Event):
                positions.append(position)
                events.append(outcome)
            elif isinstance(outcome, Reject):
                published.refuse(position, outcome)
            elif isinstance(outcome, Drop):
                self._metrics.dropped(outcome.reason)
                published.results[position] = Sent(before.id, before.source)
        share.positions, share.events = positions, events

    def _judge_signed(self, access: Access, share: _Pass, results: Sequence[Outcome]) -> list[Outcome]:
        """Refuse what neither the request's identity nor the verified key's owner may publish.

        A signature by whoever is revoked spoils what the request's identity may.
        """
        context = share.context
        spoiled = judge = None
        if context.key is not None:
            credentials = (f"key:{context.kid}",) if context.kid is not None else ()
            signer = Identity(context.key, "signature", credentials)
            spoiled = access.unfit(signer)
            judge = access.publisher(signer) if share.doubtful else None
        judged: list[Outcome] = []
        for position, event, outcome in zip(share.positions, share.events, results, strict=True):
            refusal = spoiled or share.doubtful.get(position)
            if refusal is not None and judge is not None:
                refusal = judge(event)
            judged.append(outcome if refusal is None or isinstance(outcome, Reject) else refusal)
        if all(isinstance(outcome, Reject) for outcome in judged):
            _undo([share])  # nothing of it takes effect, also where the rest of a batch does
        return judged

    def _append(
        self, items: Sequence[Incoming | Reject], shares: Sequence[_Pass], published: Published, *, atomic: bool
    ) -> None:
        positions, entries = _entries(items, shares)
        if not entries:
            return
        if self._waiting >= self._queue:
            raise StoreBusy(f"{self._queue} requests wait for their commit")
        self._waiting += 1
        began = time.perf_counter()
        try:
            receipts = self._store.append(entries, atomic=atomic)
        finally:
            self._waiting -= 1
        repeated = 0
        results, durability = published.results, self._store.durability
        for position, entry, receipt in zip(positions, entries, receipts, strict=True):
            if isinstance(receipt, Receipt):
                repeated += receipt.duplicate
                results[position] = Stored(entry.id, entry.source, str(receipt.cursor), durability, receipt.duplicate)
            elif receipt is not None:
                detail = f"an event with id {entry.id!r} of source {entry.source!r} exists with other content"
                published.refuse(position, Reject(detail, status=409, reason="conflict"))
        if not (atomic and published.refusals):
            self._metrics.stored(len(entries) - repeated, repeated, time.perf_counter() - began)


def _entries(items: Sequence[Incoming | Reject], shares: Sequence[_Pass]) -> tuple[list[int], list[Entry]]:
    """Return what is to be stored, with the positions in the request, in their order."""
    positions: list[int] = []
    entries: list[Entry] = []
    for share in shares:
        if share.pipeline.persist:
            deliver = share.pipeline.deliver
            positions += share.positions
            entries += [
                Entry(event.id, event.source, event.type, event.subject, item.fingerprint, encode(event), deliver)
                for event, item in zip(share.events, _at(items, share.positions), strict=True)
            ]
    if len(shares) > 1:
        order = sorted(range(len(positions)), key=positions.__getitem__)
        positions, entries = [positions[i] for i in order], [entries[i] for i in order]
    return positions, entries


def _at(items: Sequence[Incoming | Reject], positions: Sequence[int]) -> Sequence[Incoming]:
    """Return what arrived at these positions, none of which is a Reject."""
    return items if len(positions) == len(items) else [items[i] for i in positions]  # type: ignore[return-value, misc]


def _pack_ephemeral(shares: Sequence[_Pass], published: Published) -> list[bytes]:
    """Answer for what is not persisted; return what is to be announced to every worker's hub, in order."""
    payloads: dict[int, bytes] = {}
    for share in shares:
        for position, event in zip(share.positions, share.events, strict=True):
            published.results[position] = Sent(event.id, event.source)
            if share.pipeline.deliver:
                payload = pack(event)
                if len(payload) > EPHEMERAL_BYTES:
                    most = f"at most {EPHEMERAL_BYTES} bytes, this one {len(payload)}"
                    detail = f"an event that is not persisted has {most}"
                    published.refuse(position, Reject(detail, status=413, reason="too_large"))
                else:
                    payloads[position] = payload
    return [payload for _, payload in sorted(payloads.items())]


def _undo(passes: Sequence[_Pass]) -> None:
    for share in passes:
        for call in reversed(share.context.undo):
            call()
        share.context.undo.clear()


def under_identity(submission: Submission, identity: Identity) -> Submission:
    """Give events that came without a source one that tells who sent them."""
    named = {}
    for position, item in enumerate(submission.items):
        if isinstance(item, Incoming) and item.event.source == ANONYMOUS_SOURCE:
            source = f"/identities/{quote(identity.name, safe='')}"
            named[position] = item._replace(event=item.event.replace(source=source))
    if not named:
        return submission
    return msgspec.structs.replace(
        submission, items=[named.get(position, item) for position, item in enumerate(submission.items)]
    )


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(tuple[str, str, str | None, bytes])


def pack(event: Event) -> bytes:
    """Return an ephemeral event as it travels between workers."""
    return _packer.encode((event.type, event.source, event.subject, encode(event)))


def unpack(payload: bytes) -> Record:
    """Read an announced event; its offset is none."""
    type, source, subject, json = _unpacker.decode(payload)
    return Record(0, type, source, subject, json, 0.0)
