"""The subprotocol `eventstream.v1`: several subscriptions, publishing with receipts, resume."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

from msgspec import to_builtins

from eventstream import (
    UNSET,
    Delivery,
    Fault,
    Filter,
    FilterError,
    Form,
    Gap,
    Incoming,
    Record,
    Reject,
    Request,
    Result,
    StepError,
    StoreBusy,
    Submission,
    Subscription,
    from_mapping,
)
from eventstream.wire.problem import problem
from eventstream.wire.websocket import GOING_AWAY, POLICY_VIOLATION, text_frame
from eventstream_plugins.websocket.messages import Malformed, Ping, Publish, Subscribe, Unsubscribe, parse
from eventstream_plugins.websocket.session import PING, Bounds, Session, farewell, refusal

SUBPROTOCOL = "eventstream.v1"
_BY_MESSAGE = ("type", "source", "subject", "filter", "after", "lastEventId", "lag")


class V1Format:
    """Frames events for one subscription name. Subscribers that choose the same name share the bytes."""

    __slots__ = ("_event", "id", "key")

    def __init__(self, id: str) -> None:
        """Take the subscription's name."""
        self.id = id
        self.key: Hashable = (SUBPROTOCOL, id)
        self._event = b'{"op":"event","id":%s,"cursor":"' % _json(id)

    def event(self, record: Record, cursor: str) -> bytes:
        """Frame one event; the stored form is put in as it is."""
        return text_frame(b'%s%s","event":%s}' % (self._event, cursor.encode(), record.json))

    def cursor(self, cursor: str) -> bytes:
        """Frame a place."""
        return frame("cursor", self.id, cursor=cursor)

    def gap(self, gap: Gap) -> bytes:
        """Frame a loss of history."""
        return frame("gap", self.id, **gap._asdict())

    def idle(self) -> bytes:
        """Frame a ping."""
        return PING

    def goodbye(self, retry: float, reason: str = "") -> bytes:
        """Frame a goodbye and the close."""
        return goodbye(retry, reason=reason)


def frame(op: str, id: str | None = None, **members: Any) -> bytes:
    """Frame a message of the server's."""
    named = {} if id is None else {"id": id}
    return text_frame(_json({"op": op, **named, **members}))


def goodbye(retry: float, code: int = GOING_AWAY, reason: str = "") -> bytes:
    """Frame the goodbye message and the close behind it."""
    why = {"reason": reason} if reason else {}
    return frame("goodbye", retry=round(retry, 3), **why) + farewell(retry, code, reason)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


class V1Session(Session):
    """A connection on which the client subscribes and publishes by messages."""

    __slots__ = ("subscriptions",)

    def __init__(self, delivery: Delivery, bounds: Bounds, request: Request) -> None:
        """Start without subscriptions; raises Reject 400 for a query that would be ignored."""
        super().__init__(delivery, bounds, request)
        self.subscriptions: dict[str, Subscription] = {}
        for name in _BY_MESSAGE:
            if name in request.query:
                detail = f"{SUBPROTOCOL} subscribes by message: send {name} in a subscribe, or use cloudevents.json"
                raise Reject(detail, status=400, reason="query", faults=[Fault(detail, pointer=name)])

    def farewell(self, retry: float, code: int, reason: str = "") -> bytes:
        """Frame the goodbye message and the close behind it."""
        return goodbye(retry, code, reason)

    def closed(self) -> None:
        """Forget the connection and its subscriptions."""
        super().closed()
        self.subscriptions = {}

    def text(self, data: bytes) -> None:
        """Act on one message."""
        try:
            message = parse(data)
        except Malformed as error:
            self.refuse(error.id, error)
            return
        try:
            if isinstance(message, Publish):
                self._publish(message)
            elif isinstance(message, Subscribe):
                self._subscribe(message)
            elif isinstance(message, Unsubscribe):
                self._unsubscribe(message)
            elif isinstance(message, Ping):
                self.write(frame("pong", message.id))
        except (Reject, StoreBusy, StepError) as error:
            self.refuse(message.id, refusal(error))

    def refuse(self, id: str | None, error: Reject) -> None:
        """Answer with an error message."""
        self.write(frame("error", id, problem=problem_with_wait(error)))

    def _subscribe(self, asked: Subscribe) -> None:
        if asked.id in self.subscriptions:
            raise Reject(f"{asked.id!r} is subscribed already: unsubscribe it first", status=409, reason="subscribed")
        if len(self.subscriptions) >= self.bounds.subscriptions:
            detail = f"a connection carries at most {self.bounds.subscriptions} subscriptions"
            self.refuse(asked.id, Reject(detail, status=403, reason="subscriptions"))
            self.end(POLICY_VIOLATION, detail)
            return
        try:
            wanted = Filter(asked.patterns(), asked.expressions())
            self.delivery.admit(self.identity, wanted, self.client)
            start = self.delivery.start(asked.after)
            # First, so that a client knows the name before anything comes under it.
            self.write(frame("subscribed", asked.id, cursor=self.delivery.cursor(start.offset)))
            if self.sink is not None:  # it may have broken just now
                subscription = self.sink.subscribe(wanted, V1Format(asked.id), start, lag=asked.lag)
                self.subscriptions[asked.id] = subscription
        except FilterError as error:
            raise Reject(
                str(error), status=400, reason="filter", faults=[Fault(str(error), pointer=error.pointer)]
            ) from None

    def _unsubscribe(self, asked: Unsubscribe) -> None:
        subscription = self.subscriptions.pop(asked.id, None)
        if subscription is None:
            raise Reject(f"{asked.id!r} is not subscribed", status=404, reason="subscription")
        subscription.cancel()
        self.write(frame("unsubscribed", asked.id))

    def _publish(self, asked: Publish) -> None:
        if (asked.event is UNSET) == (asked.events is UNSET):
            raise Reject("a publish carries either event or events", status=400, reason="malformed")
        events = [asked.event] if asked.events is UNSET else asked.events
        if not isinstance(events, list) or len(events) > self.bounds.batch:
            detail = f"a publish carries at most {self.bounds.batch} events"
            raise Reject(detail, status=413, reason="batch", members={"limit": self.bounds.batch})
        items = [self._decode(event) for event in events]
        form = Form.BATCH if asked.events is not UNSET else Form.PLAIN if _is_plain(asked.event) else Form.STRUCTURED
        submission = Submission(
            items, form, client=self.client, atomic=not asked.partial, identity=self.identity
        )  # fmt: skip
        results = self.delivery.publish(submission)
        self.write(frame("receipt", asked.id, results=_receipts(results)))

    def _decode(self, fields: Any) -> Incoming | Reject:
        try:
            return from_mapping(fields, plain=_is_plain(fields), now=self.delivery.now())
        except Reject as error:
            return error


def _is_plain(fields: Any) -> bool:
    return isinstance(fields, dict) and "specversion" not in fields


def _receipts(results: Sequence[Result]) -> list[Any]:
    return [
        {"problem": problem_with_wait(result)} if isinstance(result, Reject) else to_builtins(result)
        for result in results
    ]


def problem_with_wait(error: Reject) -> dict[str, Any]:
    """Return the problem; what HTTP says in `Retry-After` is its member `retry_after`, in seconds."""
    wait = error.headers.get("Retry-After")
    return problem(error) | ({"retry_after": int(wait)} if wait else {})
