"""The output `sse`: Server-Sent Events for `EventSource`, curl and every other SSE client."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from eventstream import (
    Config,
    Connection,
    Delivery,
    Duration,
    Filter,
    FilterError,
    Gap,
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
    """Frames events for one stream of SSE."""

    def __init__(self, *, named: bool = False) -> None:
        """With `named`, a frame also carries `event: <type>`."""
        self.key: Hashable = ("sse", named)
        self._named = named

    def event(self, record: Record, cursor: str) -> bytes:
        """Frame one event with its place."""
        return sse.frame(record.json, id=cursor, event=sse.event_name(record.type) if self._named else "")

    def cursor(self, cursor: str) -> bytes:
        """Frame a place: its name keeps `onmessage` quiet, its data makes clients keep the id."""
        return sse.frame(b"{}", id=cursor, event="cursor")

    def gap(self, gap: Gap) -> bytes:
        """Frame a loss of history."""
        return sse.frame(encode_json(gap._asdict()), id=gap.resumed_from, event="gap")

    def idle(self) -> bytes:
        """Frame a comment."""
        return sse.COMMENT

    def goodbye(self, retry: float) -> bytes:
        """Frame the time after which to come back."""
        return sse.retry(retry)


PLAIN = SseFormat()
NAMED = SseFormat(named=True)


class Sse(Output):
    """Stream events as Server-Sent Events to any `EventSource`.

    Answers `GET` with `Accept: text/event-stream` (other requests on `/events` get a JSON page).
    Query: `type`, `source`, `subject` (repeatable, trailing `*`), `filter` (CloudEvents dialects as
    JSON), `after` (a cursor, `earliest` or `latest`), `event=type` to name frames by event type,
    `lag=disconnect` to be cut rather than healed when too slow. A place is taken from the header
    `Last-Event-ID`, then `lastEventId`, then `after`; without one the stream begins with what comes.

    Every frame carries `id:`. The stream opens with `retry:` and a `cursor` event; `gap` events tell
    of lost history. Overload and shutdown are told by 200, `retry:` and the stream's end, since an
    `EventSource` never comes back after any other status; only 400, 401 and 403 are refusals.
    """

    name = "sse"
    Config = SseConfig
    examples: ClassVar[list[Any]] = [{"path": "/events", "heartbeat": "15s"}]
    delivery: Delivery

    def open(self, services: Services) -> None:
        """Keep the node's delivery services."""
        self.delivery = services  # type: ignore[assignment]  # an output is handed the wider Delivery

    def accepts(self, request: Request) -> bool:
        """Take what asks for an event stream."""
        return "text/event-stream" in request.headers.get("accept", "").lower()

    def handle(self, request: Request) -> Response:
        """Open a stream."""
        delivery = self.delivery
        if delivery.draining or delivery.hub.full:
            return Response(200, HEADERS, take=self._turn_away, stream=self._farewell)
        try:
            filter = parse_filter(request.query)
        except FilterError as error:
            raise Reject(str(error), status=400, reason="filter") from None
        format = NAMED if _one(request, "event") == "type" else PLAIN
        lag = _lag(request)
        start = self._start(request)
        return Response(
            200,
            HEADERS,
            take=partial(self._take, filter, format, start, lag),
            stream=partial(self._stream, filter, format, start),
        )

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
        connection: Connection,
        rest: bytes,
    ) -> None:
        sink = self.delivery.hub.adopt(
            connection, output=self.name, heartbeat=self.config.heartbeat, goodbye=format.goodbye
        )
        # In one block with the cursor frame that follows: some clients take a lone retry for an event.
        sink.write(sse.retry_line(self.delivery.retry()))
        try:
            sink.subscribe(filter, format, start, lag=lag)
        except FilterError:  # the worker's bound on filters without an index was reached by others meanwhile
            sink.end(format.goodbye(self.delivery.retry()))

    def _stream(self, filter: Filter, format: SseFormat, start: Start) -> Iterator[bytes]:
        yield sse.retry_line(self.delivery.retry())
        yield from self.delivery.follow(filter, format, start, heartbeat=self.config.heartbeat)
        yield format.goodbye(self.delivery.retry())

    def _turn_away(self, connection: Connection, rest: bytes) -> None:
        connection.send(sse.retry(self.delivery.retry()))
        connection.close()

    def _farewell(self) -> Iterator[bytes]:
        yield sse.retry(self.delivery.retry())


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
