"""The output `sse`: Server-Sent Events for `EventSource`, curl and every other SSE client."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from eventstream import (
    Config,
    Connection,
    Delivery,
    Duration,
    Filter,
    FilterError,
    Gap,
    Identity,
    Meta,
    Output,
    Record,
    Reject,
    Request,
    Response,
    Services,
    Start,
    encode_json,
    hookimpl,
    parse_filter,
)
from eventstream.wire import sse
from eventstream.wire.chunked import LAST_CHUNK, chunk

# no-store and X-Accel-Buffering: without them nginx's defaults hold a stream back for ever.
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class SseConfig(Config, frozen=True):
    """Where the output listens."""

    path: Annotated[str, Meta(pattern="^/", description="URL path of the stream")] = "/events"
    heartbeat: Annotated[
        Duration, Meta(description="silence after which a subscriber is sent a sign of life", examples=["15s"])
    ] = Duration(15)

    def __post_init__(self) -> None:
        """Refuse what the types let through."""
        if self.heartbeat <= 0:
            raise ValueError("heartbeat is longer than 0 s")


class SseFormat:
    """Frames events for one kind of SSE stream.

    An HTTP/1.1 stream is chunked, a frame a chunk: several HTTP libraries hold back the end of a body
    that only the connection's end delimits. HTTP/1.0 knows no chunks.
    """

    def __init__(self, *, named: bool = False, chunked: bool = False) -> None:
        """With `named`, a frame also carries `event: <type>`."""
        self.key: Hashable = ("sse", named, chunked)
        self._named = named
        self._wrap = chunk if chunked else bytes
        self._end = LAST_CHUNK if chunked else b""
        self._idle = self._wrap(sse.COMMENT)

    def event(self, record: Record, cursor: str) -> bytes:
        """Frame one event with its place."""
        return self._wrap(sse.frame(record.json, id=cursor, event=sse.event_name(record.type) if self._named else ""))

    def cursor(self, cursor: str) -> bytes:
        """Frame a place: its name keeps `onmessage` quiet, its data makes clients keep the id."""
        return self._wrap(sse.frame(b"{}", id=cursor, event="cursor"))

    def gap(self, gap: Gap) -> bytes:
        """Frame a loss of history."""
        return self._wrap(sse.frame(encode_json(gap._asdict()), id=gap.resumed_from, event="gap"))

    def idle(self) -> bytes:
        """Frame a comment."""
        return self._idle

    def retry(self, seconds: float) -> bytes:
        """Frame the time after which to come back."""
        return self._wrap(sse.retry(seconds))

    def goodbye(self, retry: float, reason: str = "") -> bytes:
        """Frame the end of the stream: why, where it is the credential's, and when to come back."""
        why = self._wrap(sse.frame(encode_json({"reason": reason}), event="goodbye")) if reason else b""
        return why + self.retry(retry) + self._end


PLAIN = SseFormat()
NAMED = SseFormat(named=True)
CHUNKED = {PLAIN: SseFormat(chunked=True), NAMED: SseFormat(named=True, chunked=True)}


class Sse(Output):
    """Stream events as Server-Sent Events to any `EventSource`.

    Answers `GET` with `Accept: text/event-stream` (other requests on `/events` get a JSON page).
    Query: `type`, `source`, `subject` (repeatable, trailing `*`), `filter` (CloudEvents dialects as
    JSON), `after` (a cursor, `earliest` or `latest`), `event=type` to name frames by event type,
    `lag=disconnect` to be cut rather than healed when too slow. A place is taken from the header
    `Last-Event-ID`, then `lastEventId`, then `after`; without one the stream begins with what comes.

    Every frame carries `id:`. The stream opens with `retry:` and a `cursor` event; `gap` events tell
    of lost history. Overload and shutdown are told by 200, `retry:` and the stream's end, since an
    `EventSource` never comes back after any other status; only 400, 401 and 403 are refusals. Where the
    credential expires or is revoked, a `goodbye` event with the reason comes before the end.
    """

    name = "sse"
    Config = SseConfig
    examples: ClassVar[list[Any]] = [{"path": "/events", "heartbeat": "15s"}]
    answers = MappingProxyType({200: "text/event-stream"})
    delivery: Delivery

    def open(self, services: Services) -> None:
        """Keep the node's delivery services."""
        self.delivery = services  # type: ignore[assignment]  # an output is handed the wider Delivery

    def accepts(self, request: Request) -> bool:
        """Take what asks for an event stream."""
        return "text/event-stream" in request.headers.get("accept", "").lower()

    def handle(self, request: Request) -> Response:
        """Open a stream."""
        unwrapped = NAMED if _one(request, "event") == "type" else PLAIN
        chunked = request.version == "HTTP/1.1"
        format = CHUNKED[unwrapped] if chunked else unwrapped
        if self.delivery.draining or self.delivery.hub.full:
            take, stream = partial(self._turn_away, format), partial(self._farewell, unwrapped)
            return Response(200, HEADERS, take=take, stream=stream, chunked=chunked)
        try:
            filter = parse_filter(request.query)
        except FilterError as error:
            raise Reject(str(error), status=400, reason="filter") from None
        self.delivery.admit(request.identity, filter, request.client)
        lag = _lag(request)
        start = self._start(request)
        take = partial(self._take, filter, format, start, lag, request.identity)
        stream = partial(self._stream, filter, unwrapped, start, request.identity)
        return Response(200, HEADERS, take=take, stream=stream, chunked=chunked)

    def _start(self, request: Request) -> Start:
        last = request.headers.get("last-event-id") or _one(request, "lastEventId")
        if last:
            return self.delivery.start(last, lenient=True)
        return self.delivery.start(_one(request, "after"))

    def _take(
        self,
        filter: Filter,
        format: SseFormat,
        start: Start,
        lag: Literal["replay", "disconnect"],
        identity: Identity | None,
        connection: Connection,
        rest: bytes,
    ) -> None:
        sink = self.delivery.hub.adopt(
            connection, output=self.name, heartbeat=self.config.heartbeat, goodbye=format.goodbye, identity=identity
        )
        sink.write(format.retry(self.delivery.retry()))
        try:
            sink.subscribe(filter, format, start, lag=lag)
        except (FilterError, Reject):  # meanwhile others reached the bound on filters, or the credential has ended
            sink.end(format.goodbye(self.delivery.retry()))

    def _stream(self, filter: Filter, format: SseFormat, start: Start, identity: Identity | None) -> Iterator[bytes]:
        yield format.retry(self.delivery.retry())
        yield from self.delivery.follow(filter, format, start, heartbeat=self.config.heartbeat, identity=identity)

    def _turn_away(self, format: SseFormat, connection: Connection, rest: bytes) -> None:
        connection.send(format.goodbye(self.delivery.retry()))
        connection.close()

    def _farewell(self, format: SseFormat) -> Iterator[bytes]:
        yield format.goodbye(self.delivery.retry())


def _one(request: Request, name: str) -> str | None:
    values = request.query.get(name)
    return values[-1] if values else None


def _lag(request: Request) -> Literal["replay", "disconnect"]:
    match _one(request, "lag"):
        case None | "replay":
            return "replay"
        case "disconnect":
            return "disconnect"
        case _:
            raise Reject("lag takes `replay` or `disconnect`", status=400, reason="malformed")


@hookimpl
def eventstream_outputs() -> Sequence[type[Output]]:
    """Offer `sse`."""
    return [Sse]
