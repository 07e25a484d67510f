"""The route `tickets`: whoever is known by a header gets a ticket, or a cookie, for an `EventSource`."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple

from eventstream import (
    Config,
    Delivery,
    Duration,
    Fault,
    Grant,
    Identity,
    JsonError,
    Meta,
    Rate,
    Reject,
    Request,
    Response,
    Route,
    Services,
    decode_json,
    encode_json,
    parse_scopes,
)

from .record import COOKIE, Record, digest, find, keep, new_text, sessions

MAX_BODY = 16 * 1024
MAX_SESSION = 86400  # seconds
BURST = 100
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 10}]}
_PATTERNS = {
    "type": "object",
    "properties": {"type": _TEXTS, "source": _TEXTS, "subject": _TEXTS},
    "minProperties": 1,
    "additionalProperties": False,
}
_SCOPES = {
    "description": "What the ticket is for, within what the caller is granted. A text is a pattern of types.",
    "oneOf": [
        {"const": True},
        {"type": "array", "items": {"oneOf": [_TEXT, _PATTERNS]}, "minItems": 1, "maxItems": 100},
    ],
}


class TicketsConfig(Config, frozen=True):
    """Options of `tickets`."""

    valid: Annotated[
        Duration, Meta(description="How long a ticket waits to be used; at most 5m.", examples=["30s"])
    ] = Duration(30)
    session: Annotated[
        Duration,
        Meta(description="How long a cookie is good; at most 1d, and never longer than its owner.", examples=["1h"]),
    ] = Duration(3600)
    secure: Annotated[
        bool,
        Meta(
            description="Whether browsers keep the cookie to HTTPS (and to loopback addresses). False only where "
            "there is no TLS at all."
        ),
    ] = True
    rate: Annotated[
        Rate, Meta(description=f"How many tickets one identity gets, with bursts of {BURST}.", examples=["10/s"])
    ] = Rate(10)

    def __post_init__(self) -> None:
        """Refuse what the types let through."""
        if not 0 < self.valid <= 300:
            raise ValueError("valid: a ticket is good for at most 5m, and longer than 0 s")
        if not 1 <= self.session <= MAX_SESSION:
            raise ValueError("session: a cookie is good for 1s to 1d")


class Wish(NamedTuple):
    """What a request asks for."""

    cookie: bool
    subscribe: Any  # as in a grant; None: all that the caller may


class TicketsRoute(Route):
    """Give tickets and cookies to callers who are known.

    `POST /tickets` answers 201 with `{"ticket": …, "expires": …}`: use it once as `GET /events?ticket=…`
    before it expires. The body may be empty, or JSON: `{"subscribe": ["shop.*"]}` narrows the ticket.
    `{"cookie": true}` sets a cookie instead (HttpOnly, Secure, SameSite=Strict), by which the browser may
    read until `expires`; asking again renews it. `DELETE /tickets` ends the session of the request's
    cookie, and its streams within a second. Neither a ticket nor a cookie gets another.

    Errors: 401 for callers whom nobody knows, 403 for more than is granted, 422 for a body that is not
    understood, 429 beyond the rate.
    """

    name = "tickets"
    path = "/tickets"
    methods = ("POST", "DELETE")
    right = None  # whoever is known
    answers: ClassVar[Mapping[int, str]] = MappingProxyType({201: "application/json", 204: ""})
    Config = TicketsConfig
    config: TicketsConfig
    examples: ClassVar[list[Any]] = [{}, {"valid": "10s", "session": "15m"}]
    delivery: Delivery

    def open(self, services: Services) -> None:
        """Keep the node."""
        self.delivery = services  # type: ignore[assignment]  # a route is handed the wider Delivery

    def describe(self) -> Mapping[str, Any]:
        """Describe the body."""
        properties = {"subscribe": _SCOPES, "cookie": {"type": "boolean"}}
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {"post": {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}}

    def handle(self, request: Request) -> Response:
        """Give a ticket or a cookie, or end a session; raises Reject, StoreBusy."""
        if request.method == "DELETE":
            return self._end(request)
        identity = request.identity
        if identity is None:
            headers = {"WWW-Authenticate": "Bearer"}
            raise Reject("say who you are to get a ticket", 401, "unknown", headers=headers)
        if identity.by == "ticket":
            raise Reject("a ticket is not given for a ticket or a cookie", 403, "grant")
        wish = _read(request)
        narrowed = self._narrow(identity, wish, request.client)
        self._pay(identity)
        return self._cookie(narrowed, request) if wish.cookie else self._ticket(narrowed)

    def _narrow(self, identity: Identity, wish: Wish, client: str) -> Identity:
        """Return the identity with no more than a stream needs: it can never administer."""
        if wish.subscribe is None:
            own = (Grant("publish"), Grant("subscribe")) if identity.grants is None else identity.grants
            return dataclasses.replace(identity, grants=[one for one in own if one.right in ("publish", "subscribe")])
        try:
            scopes = parse_scopes(wish.subscribe)
        except ValueError as error:
            raise _malformed(str(error), "/subscribe") from None
        if not scopes:
            raise _malformed("true or a list of patterns", "/subscribe")
        for scope in scopes:
            self.delivery.admit(identity, scope, client)
        return dataclasses.replace(identity, grants=[Grant("subscribe", scope) for scope in scopes])

    def _pay(self, identity: Identity) -> None:
        take = self.delivery.ledger.take(f"tickets/{identity.name}", 1, rate=self.config.rate, burst=BURST)
        if not take.taken:
            headers = {"Retry-After": str(max(1, math.ceil(take.wait)))}
            raise Reject("too many tickets", 429, "quota", headers=headers, private=f"tickets for {identity.name}")

    def _ticket(self, identity: Identity) -> Response:
        now = self.delivery.now()
        text = new_text()
        until = min(now + self.config.valid, identity.expires)
        family = f"ticket:{digest(text)}"
        self._keep("ticket", text, Record(_with(identity, family), until, family), now)
        return Response(201, _HEADERS, encode_json({"ticket": text, "expires": _time(until)}))

    def _cookie(self, identity: Identity, request: Request) -> Response:
        now = self.delivery.now()
        text = new_text()
        until = min(now + self.config.session, identity.expires)
        reading = [one for one in identity.grants or () if one.right == "subscribe"]
        family = self._family(identity, request, now) or f"session:{digest(text)}"
        session = dataclasses.replace(_with(identity, family), expires=until, grants=reading)
        self._keep("session", text, Record(session, until, family), now)
        headers = {**_HEADERS, "Set-Cookie": self._set_cookie(text, math.ceil(until - now))}
        return Response(201, headers, encode_json({"expires": _time(until)}))

    def _family(self, identity: Identity, request: Request, now: float) -> str | None:
        """Return the family of the session that is renewed, so that ending one ends all."""
        texts = sessions(request.headers.get("cookie", ""))
        ledger = self.delivery.ledger
        record = find(ledger, "session", texts[0], now) if len(texts) == 1 else None
        if record is None or record.identity.name != identity.name:
            return None
        return record.family if ledger.get(f"revoked/{record.family}") is None else None

    def _keep(self, kind: str, text: str, record: Record, now: float) -> None:
        try:
            keep(self.delivery.ledger, kind, text, record, now)
        except ValueError as error:
            raise _malformed(f"what it grants is too long for a ticket ({error}): narrow it", "/subscribe") from None

    def _end(self, request: Request) -> Response:
        ledger, now = self.delivery.ledger, self.delivery.now()
        for text in sessions(request.headers.get("cookie", ""))[:4]:
            record = find(ledger, "session", text, now)
            if record is not None:  # every session of the family was begun before now
                ledger.put(f"revoked/{record.family}", b"1", max(self.config.session, record.until - now))
        return Response(204, {"Cache-Control": "no-store", "Set-Cookie": self._set_cookie("", 0)})

    def _set_cookie(self, text: str, seconds: int) -> str:
        secure = "; Secure" if self.config.secure else ""
        return f"{COOKIE}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _with(identity: Identity, credential: str) -> Identity:
    return dataclasses.replace(identity, credentials=(*identity.credentials, credential))


def _read(request: Request) -> Wish:
    """Read the body; raises Reject."""
    if not request.body:
        return Wish(cookie=False, subscribe=None)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Reject("the body is application/json, or empty", 415, "media_type")
    if len(request.body) > MAX_BODY:
        raise Reject(f"the body has more than {MAX_BODY} bytes", 413, "too_large")
    try:
        value = decode_json(request.body, max_depth=8)
    except JsonError as error:
        raise Reject(f"the body is not JSON: {error}", 400, "malformed") from None
    if not isinstance(value, dict):
        raise _malformed("the body is an object", "")
    for name in value.keys() - {"cookie", "subscribe"}:
        raise _malformed("this member is not known: cookie and subscribe are", f"/{name[:64]}")
    cookie = value.get("cookie", False)
    if not isinstance(cookie, bool):
        raise _malformed("true or false", "/cookie")
    subscribe = value.get("subscribe")
    if "subscribe" in value and subscribe is None:
        raise _malformed("true or a list of patterns", "/subscribe")
    return Wish(cookie, subscribe)


def _malformed(detail: str, pointer: str) -> Reject:
    return Reject("the body is not understood", 422, "malformed", faults=[Fault(detail, pointer)])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
