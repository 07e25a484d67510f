"""The subprotocol `cloudevents.json`: the CloudEvents WebSocket binding, subscribed by the URL's query."""

import json
import secrets
from collections.abc import Hashable
from typing import Any, get_args

from eventstream import (
    Delivery,
    Fault,
    Filter,
    FilterError,
    Form,
    Gap,
    JsonError,
    LagPolicy,
    Record,
    Reject,
    Request,
    Sink,
    Start,
    StepError,
    StoreBusy,
    Submission,
    decode_json,
    from_mapping,
    parse_filter,
)
from eventstream.wire.problem import problem
from eventstream.wire.websocket import POLICY_VIOLATION, text_frame
from eventstream_plugins.websocket.session import PING, Bounds, Session, farewell, refusal

SUBPROTOCOL = "cloudevents.json"
SOURCE = "/eventstream"  # of control events; ingest refuses their types, so nobody can forge one


class CloudEventsFormat:
    """Frames events as they are stored, with their place as the extension attribute `cursor`."""

    key: Hashable = SUBPROTOCOL

    def event(self, record: Record, cursor: str) -> bytes:
        """Frame one event. The stored form is a JSON object that is never empty: the place goes in front."""
        return text_frame(b'{"cursor":"%s",%s' % (cursor.encode(), record.json[1:]))

    def cursor(self, cursor: str) -> bytes:
        """Frame a place as an `eventstream.cursor` event."""
        return control("cursor", f"cursor-{cursor}", cursor=cursor)

    def gap(self, gap: Gap) -> bytes:
        """Frame a loss as an `eventstream.gap` event."""
        return control("gap", f"gap-{gap.resumed_from}", cursor=gap.resumed_from, data=gap._asdict())

    def idle(self) -> bytes:
        """Frame a ping."""
        return PING

    def goodbye(self, retry: float, reason: str = "") -> bytes:
        """Frame a close with 1001, or with 1008 and the reason."""
        return farewell(retry, reason=reason)


FORMAT = CloudEventsFormat()


def control(kind: str, id: str, **members: Any) -> bytes:
    """Frame a CloudEvent of the server's own."""
    event = {"specversion": "1.0", "id": id, "source": SOURCE, "type": f"eventstream.{kind}", **members}
    return text_frame(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))


class CloudEventsSession(Session):
    """One subscription, given by the query; each inbound message is one event to publish."""

    __slots__ = ("filter", "lag", "start")

    def __init__(self, delivery: Delivery, bounds: Bounds, request: Request) -> None:
        """Read the subscription; raises Reject 400."""
        super().__init__(delivery, bounds, request)
        self.lag = _lag(request)
        self.filter = _filter(request)
        delivery.admit(request.identity, self.filter, request.client)
        self.start = _start(delivery, request)

    def opened(self, sink: Sink) -> None:
        """Subscribe."""
        try:
            sink.subscribe(self.filter, FORMAT, self.start, lag=self.lag)
        except FilterError as error:  # this worker serves no further filter of this kind
            self.refuse(Reject(str(error), status=400, reason="filter"), "")
            self.end(POLICY_VIOLATION, str(error))
        except Reject as error:  # the credential has ended since it was looked at
            self.refuse(error, "")
            self.end(POLICY_VIOLATION, "the subscription is refused")

    def text(self, data: bytes) -> None:
        """Publish one structured event. This protocol has no receipts: only a refusal is answered."""
        name = ""
        try:
            fields = decode_json(data)
            name = str(fields.get("id", "")) if isinstance(fields, dict) else ""
            incoming = from_mapping(fields)
            submission = Submission([incoming], Form.STRUCTURED, client=self.client, identity=self.identity)
            results = self.delivery.publish(submission)
        except JsonError as error:
            self.refuse(Reject(f"the message is not JSON: {error}", status=400, reason="malformed"), name)
        except (Reject, StoreBusy, StepError) as error:
            self.refuse(refusal(error), name)
        else:
            for result in results:
                if isinstance(result, Reject):
                    self.refuse(result, name)

    def refuse(self, error: Reject, id: str) -> None:
        """Answer with an `eventstream.problem` event; its `subject` is the refused event's id."""
        subject = {"subject": id} if id else {}
        self.write(control("problem", secrets.token_hex(16), **subject, data=problem(error)))


def _lag(request: Request) -> LagPolicy:
    given = request.query.get("lag") or ["replay"]
    for policy in get_args(LagPolicy):
        if given == [policy]:
            return policy  # type: ignore[no-any-return]  # one of LagPolicy's own values
    raise _refused("lag is replay or disconnect", "lag")


def _filter(request: Request) -> Filter:
    try:
        return parse_filter(request.query)
    except FilterError as error:
        raise _refused(str(error), error.pointer) from None


def _start(delivery: Delivery, request: Request) -> Start:
    """Return where to begin: `Last-Event-ID` beats `lastEventId` beats `after`."""
    last = request.headers.get("last-event-id") or _last(request, "lastEventId")
    if last:
        return delivery.start(last, lenient=True)
    return delivery.start(_last(request, "after") or None)


def _last(request: Request, name: str) -> str:
    return (request.query.get(name) or [""])[-1]


def _refused(detail: str, parameter: str) -> Reject:
    return Reject(detail, status=400, reason="query", faults=[Fault(detail, pointer=parameter)])
