"""What is done to every request before it is answered, and to every answer."""

from __future__ import annotations

import re
import secrets
from itertools import count

from eventstream.components.output import Response
from eventstream.errors import Reject
from eventstream.http.exchange import Exchange, Facts, Readable, Visitor
from eventstream.http.guard import Guard
from eventstream.telemetry.log import request_id as request_id_of_lines

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Gate:
    """Judges each request before it is routed, and finishes each answer."""

    def __init__(self, guard: Guard) -> None:
        """Take the judge. Build it in the process that serves: its request ids begin with something random."""
        self._guard = guard
        self._prefix = secrets.token_hex(5)
        self._numbers = count()

    def visitor(self, facts: Facts) -> Visitor:
        """Find out where requests with this head come from, and whether they may ask at all."""
        try:
            return self._admit(facts)
        except Reject as refusal:
            return Visitor(facts, facts.headers, self._guard.client(facts.peer, facts.headers), refusal=refusal)

    def _admit(self, facts: Facts) -> Visitor:
        headers, guard = facts.headers, self._guard
        if facts.admin:  # whoever can open the socket's file: no page, no proxy, no other host
            return Visitor(facts, headers, "admin")
        client, proxied = guard.client(facts.peer, headers), guard.proxied(facts.peer)
        guard.check_host(headers.get("host"), facts.version)
        if facts.authority is not None:  # RFC 9112 3.2.2: its host counts, not the header's
            headers = {**headers, "host": facts.authority}
            guard.check_host(facts.authority, "")
        origin = headers.get("origin")
        if origin is None or (facts.method == "OPTIONS" and "access-control-request-method" in headers):
            # A preflight asks; the answer's lack of an allowance says no.
            return Visitor(facts, headers, client, proxied)
        guard.check_origin(origin, headers.get("host"), facts.path)
        return Visitor(facts, headers, client, proxied, guard.foreign(origin, headers.get("host")))

    def open(self, visitor: Visitor, body: Readable) -> Exchange:
        """Give a request its id: the caller's own when that is harmless, else a new one."""
        given = visitor.headers.get("x-request-id")
        if given is None or not _REQUEST_ID.match(given):
            given = f"{self._prefix}{next(self._numbers):06x}"
        request_id_of_lines.set(given)
        return Exchange(visitor, body, given)

    def finish(self, exchange: Exchange, response: Response) -> Response:
        """Return the answer with what every answer has in its head, by lower-case names."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        headers["x-request-id"] = exchange.id
        if response.body and "content-type" not in headers:
            headers["content-type"] = "application/json"
        vary = headers.get("vary")
        headers["vary"] = "Origin" if vary is None else f"{vary}, Origin"  # also where none was sent: for caches
        origin = exchange.headers.get("origin")
        if origin is not None:
            for name, value in self._guard.cors_headers(origin, exchange.facts.path).items():
                headers[name.lower()] = value  # so that the page that asked may read the answer
        return Response(
            response.status, headers, response.body, response.take, response.stream, response.chunked
        )  # fmt: skip
