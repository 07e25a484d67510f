"""Outputs: how events leave. And the part of the hub that an output may use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec

from eventstream.components.component import Component, Services
from eventstream.components.identity import Identity, Right
from eventstream.components.step import Request
from eventstream.components.store import Record
from eventstream.errors import Reject
from eventstream.events.codec import Form, Incoming
from eventstream.events.filter import Filter

LagPolicy = Literal["replay", "disconnect"]


class Gap(NamedTuple):
    """What a subscriber is told when the place it asked for is no longer there."""

    requested: str
    resumed_from: str
    reason: Literal["expired", "epoch", "overflow"]


class Start(NamedTuple):
    """Where a subscriber starts: behind `offset`, after being told of `gap` if there is one."""

    offset: int
    gap: Gap | None = None


class Stored(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A published event that has its final place. Its sender is shown just these members."""

    id: str
    source: str
    cursor: str
    durable: str
    duplicate: bool = False


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A published event that was taken but not stored (202 promises no more)."""

    id: str
    source: str


Result = Stored | Sent | Reject


class Submission(msgspec.Struct, frozen=True, eq=False):
    """Events on their way in, as one request or message brought them, each decoded or refused."""

    items: Sequence[Incoming | Reject]
    form: Form
    request: Request | None = None  # None: they came without one, so nothing about them can be verified
    client: str = ""
    atomic: bool = True  # one refused event refuses all
    identity: Identity | None = None  # who sends them


class Format(Protocol):
    """How one output writes frames. Equal `key`s mean equal bytes, so that subscribers share them."""

    key: Hashable

    def event(self, record: Record, cursor: str) -> bytes:
        """Frame one event with its place."""

    def cursor(self, cursor: str) -> bytes:
        """Frame a place without an event."""

    def gap(self, gap: Gap) -> bytes:
        """Frame a loss of history."""

    def idle(self) -> bytes:
        """Frame a heartbeat that carries nothing."""

    def goodbye(self, retry: float, reason: str = "") -> bytes:
        """Frame the end of the stream: come back in about `retry` seconds.

        `reason` is empty where the server goes away; `expired` or `revoked` where the credential did.
        """


class Goodbye(Protocol):
    """What frames a stream's end, as `Format.goodbye` does."""

    def __call__(self, retry: float, reason: str = "") -> bytes:
        """Return the frame."""


class Connection(Protocol):
    """A socket that was handed over. All calls are non-blocking; loss is an OSError."""

    direct: int  # the descriptor where bytes may be written to it as they are, else -1
    committed: int  # bytes behind the last short write that must be sent next, unchanged (TLS records)

    def fileno(self) -> int:
        """Return the descriptor to poll."""

    def send(self, data: bytes | memoryview) -> int:
        """Write what fits and return its length; 0 when nothing does."""

    def recv(self, size: int) -> bytes | None:
        """Read what is there; None when nothing is, `b""` at the peer's end."""

    def close(self) -> None:
        """Close; may be called more than once."""


class Subscription(Protocol):
    """One filter and cursor on a sink."""

    def cancel(self) -> None:
        """End it; the sink stays open."""


class Sink(Protocol):
    """A handed-over connection under the hub's care."""

    def write(self, frame: bytes) -> None:
        """Queue a frame of the output's own between event frames (bounded; over it the peer is cut)."""

    def subscribe(self, filter: Filter, format: Format, start: Start, *, lag: LagPolicy = "replay") -> Subscription:
        """Deliver from `start` on; the first frame is the gap if there is one, then a cursor frame.

        Raises FilterError for a filter that cannot be served, Reject for one that is not granted.
        """

    def end(self, farewell: bytes = b"") -> None:
        """Write what is queued and this, then close; the peer is given 5 s to read it."""


class Hub(Protocol):
    """The subscribers of one worker."""

    @property
    def full(self) -> bool:
        """Whether no further connection is taken: answer so that the client comes back later."""

    def adopt(
        self,
        connection: Connection,
        *,
        output: str,
        heartbeat: float,
        goodbye: Goodbye,
        received: Callable[[bytes], None] | None = None,
        idle: Callable[[], bytes] | None = None,
        closed: Callable[[], None] | None = None,
        identity: Identity | None = None,
    ) -> Sink:
        """Take over a connection. `received` gets what the peer sends (else it is read and ignored).

        `identity` is the request's: what it may subscribe to is judged by it, also where the output has not
        asked `Delivery.admit`. The stream ends when it expires or is revoked; `goodbye` then gets the reason.
        """


class Delivery(Services, Protocol):
    """What an output is handed in `open`: the node's services and its hub."""

    hub: Hub
    draining: bool

    def admit(self, identity: Identity | None, filter: Filter, client: str = "") -> None:
        """Raise Reject 401 or 403, which names what is refused, unless `identity` may subscribe to all of `filter`.

        `client` is the address that the log is told.
        """

    def start(self, place: str | None, *, lenient: bool = False) -> Start:
        """Resolve `earliest`, `latest`, a cursor's text or None (latest) to a place.

        Raises Reject 400 for text that is no cursor, or with `lenient` (a `Last-Event-ID`, which
        its sender cannot mend) answers with a gap.
        """

    def cursor(self, offset: int) -> str:
        """Return the text of a place."""

    def retry(self) -> float:
        """Return jittered seconds after which a client should reconnect."""

    def follow(
        self, filter: Filter, format: Format, start: Start, *, heartbeat: float, identity: Identity | None = None
    ) -> Iterator[bytes]:
        """Yield frames to the stream's end, its goodbye included: the fallback where no socket can be handed over."""

    def publish(self, submission: Submission) -> list[Result]:
        """Run events through their pipelines; one result each, in order."""


class Response(msgspec.Struct, eq=False):
    """An answer. With `take`, the socket is handed over after the head; `stream` is the fallback."""

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    take: Callable[[Connection, bytes], None] | None = None  # the connection, and bytes already read from it
    stream: Callable[[], Iterator[bytes]] | None = None
    chunked: bool = False  # whether what `take` writes is in chunked transfer coding; else the connection's end ends it


class Output(Component):
    """How events leave. Name it with a noun; answers `GET` on its `path`."""

    config: Any  # its Config has a field `path`
    answers: ClassVar[Mapping[int, str]] = {200: "*/*"}  # good statuses and their media types, for the OpenAPI document

    def accepts(self, request: Request) -> bool:
        """Tell whether this request is for this output; several may share one path."""
        return True

    def handle(self, request: Request) -> Response:
        """Answer a subscriber. Raise Reject for what it must not retry (400, 401, 403)."""
        raise NotImplementedError


class Route(Component):
    """An HTTP resource of a plugin's own."""

    path: str
    methods: Sequence[str] = ("GET",)
    right: ClassVar[Right | None] = "admin"  # what a caller must be granted where `auth` is configured; None: nothing
    answers: ClassVar[Mapping[int, str]] = {200: "*/*"}  # as for an Output

    def describe(self) -> Mapping[str, Any]:
        """Return parts of this route's OpenAPI operations, such as `requestBody` and `responses`.

        What stands under a method's name (`post`) is of that operation alone. What they refer to as
        `#/components/schemas/NAME` stands under `schemas`.
        """
        return {}

    def handle(self, request: Request) -> Response:
        """Answer a request; raise Reject to refuse it with a problem."""
        raise NotImplementedError
