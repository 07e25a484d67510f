"""Steps: what a pipeline is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from eventstream.components.component import Component
from eventstream.errors import Drop, Reject
from eventstream.events.codec import Form
from eventstream.events.event import Event

if TYPE_CHECKING:
    from eventstream.components.identity import Identity

Outcome = Event | Reject | Drop
PAUSE_AFTER = 0.002  # seconds of a batch


def _go_on() -> None:
    """Let nobody run: there is nobody else."""


class Request(msgspec.Struct, frozen=True, eq=False):
    """The request as received. Header names are lower-case; values Latin-1 text."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""  # decompressed
    received: bytes | None = None  # the body's very bytes, which a signature is judged over; None: those of `body`
    query: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    client: str = ""  # the client's address: the peer, or the right-most untrusted hop
    version: str = "HTTP/1.1"
    id: str = ""  # request id, in every log line and problem
    proxied: bool = False  # the peer is one of `server.proxies`: its headers about the client are believed
    identity: Identity | None = None  # who asks, as an authenticator knows it; None: nobody we know
    target: str = ""  # path and query as received, percent-encoded
    foreign: bool = False  # a page of another origin asks: what browsers send on their own tells nothing of who
    used: set[str] = msgspec.field(default_factory=set)  # what was claimed for it, by whichever pipeline


class Context(msgspec.Struct, eq=False):
    """What a step is told of one pass through a pipeline. One per request and pipeline."""

    pipeline: str = ""
    request: Request | None = None  # None for events that came without one (WebSocket, import)
    form: Form = Form.STRUCTURED
    client: str = ""
    key: str | None = None  # owner of the key that verified the request
    kid: str | None = None  # id of that very key
    identity: Identity | None = None  # who sent the request, as an authenticator knows it
    headers: dict[str, str] = msgspec.field(default_factory=dict)  # sent with the reply, whatever it is
    undo: list[Callable[[], None]] = msgspec.field(default_factory=list)  # run when an atomic batch is refused
    atomic: bool = True  # one refused event refuses the whole batch
    pause: Callable[[], None] = _go_on  # lets others run; call it every 2 ms or so of a batch


class Step(Component):
    """One entry of a pipeline. Name it with a verb; implement `process`."""

    mark: ClassVar[Literal["persist", "fan_out"] | None] = None  # an instruction to the pipeline's end
    fail_closed: ClassVar[bool] = False  # True: `on_error` may only be `reject`
    needs_request: bool = False  # True: an event that came without a request is refused
    last: ClassVar[bool] = False  # True: whatever stands behind it spoils what it did (a signature); `check` warns
    identifies: ClassVar[bool] = False  # True: sets `context.key`, so that a signature tells who publishes

    def process(self, event: Event, context: Context) -> Event:
        """Return the next event; raise Reject or Drop to end this one.

        Returning None is an error that names the step. Never change `event` or its data in place.
        """
        raise NotImplementedError

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Process events together: same length and order, each an event, a Reject or a Drop.

        Override it where a batch is cheaper than its parts; the outcome must be the same.
        """
        process, clock = self.process, time.monotonic
        outcomes: list[Any] = []
        due = clock() + PAUSE_AFTER
        for event in events:
            try:
                outcomes.append(process(event, context))
            except (Reject, Drop) as end:
                outcomes.append(end)
            if clock() > due:
                context.pause()
                due = clock() + PAUSE_AFTER
        return outcomes

    def claims(self, request: Request) -> bool:
        """Tell whether a request says that it is signed for this step.

        Asked when the body is no event, so that no pipeline could be chosen: a forged request is then
        told that its signature is wrong (401), not what its body lacks.
        """
        return False

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return the attributes of the event whose data the whole body is, or None: the body is the event.

        For senders whose plain JSON is no event, while their headers tell what it is. Asked before a
        pipeline is chosen, so by these attributes; at least `type` is needed.
        """
        return None

    def lint(self, before: Sequence[Step]) -> str | None:
        """Say what is wrong with standing behind these steps, or None. Shown as a warning by `check`."""
        return None
