"""One request on its way to its answer, whichever server has read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from eventstream.components.identity import Identity
from eventstream.components.step import Request
from eventstream.errors import Reject

HANDOFF = "eventstream.handoff"  # environ: call it with `take` to get the socket after the head
ADMIN = "eventstream.admin"  # environ: set where the request came over the admin socket
MAX_PARAMETERS = 200
_ABSOLUTE = re.compile("[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class Facts(NamedTuple):
    """What a request's head tells. Equal heads of one connection share it, so it is never changed."""

    method: str
    path: str  # decoded
    query: str
    target: str  # path and query as received
    version: str
    headers: Mapping[str, str]  # by lower-case name
    peer: str  # its address; empty for a Unix socket
    admin: bool  # it came over the admin socket
    authority: str | None  # the host that an absolute target names


def facts_of(environ: Mapping[str, Any]) -> Facts:
    """Read WSGI's environ."""
    path = environ.get("PATH_INFO", "")
    if not path.isascii():
        path = path.encode("latin-1").decode("utf-8", "replace")
    query: str = environ.get("QUERY_STRING", "")
    target = environ.get("RAW_URI") or (f"{path}?{query}" if query else path)
    absolute = _ABSOLUTE.match(target)
    return Facts(
        environ["REQUEST_METHOD"],
        path or "/",
        query,
        target,
        environ.get("SERVER_PROTOCOL", "HTTP/1.0"),
        MappingProxyType(request_headers(environ)),  # whoever changed it would change the next request's
        environ.get("REMOTE_ADDR", ""),
        ADMIN in environ,
        absolute[1] if absolute is not None else None,
    )


def request_headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by lower-case name."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    for key, name in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(key):
            headers[name] = environ[key]
    return headers


class Readable(Protocol):
    """A request's body, as WSGI has it."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""


class Visitor(NamedTuple):
    """Who asks, as far as a request's head tells. Equal heads of one connection share it as well."""

    facts: Facts
    headers: Mapping[str, str]  # by lower-case name; `host` is the one that counts
    client: str  # its address: the peer, or the hop that a trusted proxy names
    proxied: bool = False
    foreign: bool = False  # a page of another origin asks
    refusal: Reject | None = None  # it may not ask at all


class Exchange:
    """A request on its way, and what has been found out about it."""

    __slots__ = ("asked", "body", "client", "facts", "headers", "id", "identity", "visitor")

    def __init__(self, visitor: Visitor, body: Readable, id: str) -> None:
        """Start; `id` names it in the log and in its answer."""
        self.visitor = visitor
        self.facts, self.headers, self.client = visitor[:3]
        self.body = body
        self.id = id
        self.asked = False  # who asks is known: `identity`, or nobody we know
        self.identity: Identity | None = None

    def request(self, received: bytes = b"", body: bytes = b"") -> Request:
        """Return the request as components see it; raises Reject 400 for a query that cannot be read."""
        facts, headers, client, proxied, foreign, _ = self.visitor
        return Request(
            facts.method,
            facts.path,
            headers,
            body,
            received,
            query(facts.query) if facts.query else {},
            client,
            facts.version,
            self.id,
            proxied,
            self.identity,
            facts.target,
            foreign,
        )


def query(text: str) -> dict[str, list[str]]:
    """Parse a query string; raises Reject 400."""
    if not text:
        return {}
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except (ValueError, UnicodeDecodeError):
        raise Reject(
            f"the query is not UTF-8 or has more than {MAX_PARAMETERS} parameters", status=400, reason="malformed"
        ) from None
