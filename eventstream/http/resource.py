"""One path: who answers which of its methods, and who may ask."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from eventstream.components.identity import Identity, Right
from eventstream.components.output import Output, Response
from eventstream.components.step import Request
from eventstream.errors import Reject
from eventstream.http.body import read_body
from eventstream.http.exchange import Exchange
from eventstream.http.guard import Guard
from eventstream.runtime.node import Node

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY"})  # others are none of HTTP
_SENDER = re.compile(r"[A-Za-z0-9.*_:/\[\]-]{1,253}\Z")  # a DNS name as senders write it, or `*`


class Handler(NamedTuple):
    """What answers one method of a path, and who may ask."""

    call: Callable[[Request], Response]
    right: Right | None = None  # what must be granted where `auth` is configured
    private: bool = False  # without `auth`: answers on the admin socket only
    public: bool = False  # nobody is asked who they are


class Resource:
    """One path: its GET goes to the first output that accepts it, then to its handler; other methods to theirs."""

    def __init__(self, node: Node, guard: Guard) -> None:
        """Start without handlers."""
        self._node = node
        self._guard = guard
        self.outputs: list[Output] = []
        self.handlers: dict[str, Handler] = {}

    @property
    def methods(self) -> list[str]:
        """The methods this path answers."""
        found = {*self.handlers, *(["GET"] if self.outputs else []), "OPTIONS"}
        return sorted(found | {"HEAD"} if "GET" in found else found)

    def answer(self, exchange: Exchange) -> Response:
        """Answer a request, HEAD as a GET whose body is not sent; raises Reject and what handlers raise."""
        method = exchange.facts.method
        if method == "OPTIONS":
            return self._options(exchange)
        if method not in ("GET", "HEAD"):
            return self._handle(exchange, method)
        response = self._get(exchange)
        return response if method == "GET" else Response(response.status, response.headers, response.body)

    def _get(self, exchange: Exchange) -> Response:
        if self.outputs:
            self._identify(exchange)
            request = exchange.request()
            for output in self.outputs:
                if output.accepts(request):
                    self._node.enter(request.identity, request.client)
                    return output.handle(request)
            if "GET" not in self.handlers:  # nobody else answers here: it knows best what is wrong
                return self.outputs[0].handle(request)
        return self._handle(exchange, "GET")

    def _handle(self, exchange: Exchange, method: str) -> Response:
        handler = self.handlers.get(method)
        if handler is None:
            raise self._no_method(method)
        if not handler.public:
            self._judge(handler, exchange)
        limit = self._node.settings.server.limits.body
        received, body = (b"", b"") if method == "GET" else read_body(exchange, limit)
        return handler.call(exchange.request(received, body))

    def _no_method(self, method: str) -> Reject:
        status = 405 if method in _METHODS else 400
        self._node.metrics.refused(f"http_{status}")
        detail, headers = "this resource has no such method", {"Allow": ", ".join(self.methods)}
        return Reject(detail, status=status, reason=f"http_{status}", headers=headers)

    def _judge(self, handler: Handler, exchange: Exchange) -> None:
        """Refuse who may not ask. The admin socket has every right but those to events."""
        access, admin = self._node.access, exchange.facts.admin
        if access is None:
            if handler.private and not admin:
                raise Reject("this is shown on the admin socket only", status=403, reason="private")
            return
        identity = self._identify(exchange)
        if handler.right is not None and not admin:
            access.require(identity, handler.right, exchange.client)

    def _identify(self, exchange: Exchange) -> Identity | None:
        """Find out once who asks; raises Reject 401 for a credential that is not good."""
        access = self._node.access
        if access is not None and not exchange.asked:
            exchange.asked = True
            exchange.identity = access.identify(exchange.request())
        return exchange.identity

    def _options(self, exchange: Exchange) -> Response:
        """Answer preflights, and the CloudEvents webhook handshake (abuse protection, section 4)."""
        asked = exchange.headers
        headers = {"Allow": ", ".join(self.methods)}
        origin = asked.get("origin")
        if origin is not None and self._guard.allows(origin, exchange.facts.path):
            headers.update(self._guard.preflight_headers(asked, self.methods))
        webhook = asked.get("webhook-request-origin")
        if webhook is not None and "POST" in self.handlers and _SENDER.match(webhook):
            headers["WebHook-Allowed-Origin"] = webhook
            headers["WebHook-Allowed-Rate"] = "*"
        return Response(204, headers)
