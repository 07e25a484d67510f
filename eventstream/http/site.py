"""Everything one node answers over HTTP: `Site.answer` serves every request, whoever read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventstream.components.output import Response
from eventstream.errors import Reject
from eventstream.http import health, root
from eventstream.http.exchange import Exchange, Facts, Readable, Visitor
from eventstream.http.gate import Gate
from eventstream.http.guard import Guard
from eventstream.http.history import history
from eventstream.http.ingest import ingest
from eventstream.http.openapi import document
from eventstream.http.refusals import Refusals
from eventstream.http.resource import Handler, Resource
from eventstream.http.revoke import revoke
from eventstream.runtime.node import Node

EVENTS = "/events"
REVOKE = "/-/revoke"


class Site:
    """One node's resources by path, and what is done to every request and every answer."""

    def __init__(self, node: Node, describe: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Serve this node. `describe` tells what runs: `/-/config`, on the admin socket."""
        self._node = node
        guard = Guard(node.settings.server)
        self._gate = Gate(guard)
        self._refusals = Refusals(node)
        self._resources: dict[str, Resource] = {}

        def at(path: str) -> Resource:
            return self._resources.setdefault(path, Resource(node, guard))

        at(EVENTS).handlers = {
            "POST": Handler(lambda request: ingest(node, request)),
            "GET": Handler(lambda request: history(node, request)),
        }
        for output in node.outputs:
            at(output.config.path).outputs.append(output)
        for route in node.routes:
            for method in route.methods:
                at(route.path).handlers[method] = Handler(route.handle, route.right)
        for path, handler in _built_in(node, describe).items():
            method = "POST" if path == REVOKE else "GET"
            at(path).handlers[method] = handler

    def visitor(self, facts: Facts) -> Visitor:
        """Judge a head: once for all requests of a connection that repeat it."""
        return self._gate.visitor(facts)

    def open(self, visitor: Visitor, body: Readable) -> Exchange:
        """Begin with a request whose head has been judged."""
        return self._gate.open(visitor, body)

    def answer(self, exchange: Exchange) -> Response:
        """Answer a request; whatever goes wrong is an answer too. Header names are lower-case."""
        refusal = exchange.visitor.refusal
        if refusal is not None:
            return self.refuse(exchange, refusal)
        try:
            resource = self._resources.get(exchange.facts.path)
            response = self._nothing(exchange) if resource is None else resource.answer(exchange)
        except Exception as error:  # noqa: BLE001  # told apart, logged and counted there
            response = self._refusals.answer(exchange, error)
        return self._gate.finish(exchange, response)

    def _nothing(self, exchange: Exchange) -> Response:
        self._node.metrics.refused("http_404")
        return self._refusals.answer(exchange, Reject("there is nothing here", status=404, reason="http_404"))

    def refuse(self, exchange: Exchange, error: Exception) -> Response:
        """Answer for what went wrong outside `answer`."""
        return self._gate.finish(exchange, self._refusals.answer(exchange, error))


def _built_in(node: Node, describe: Callable[[], Mapping[str, Any]] | None) -> dict[str, Handler]:
    """Return the server's own resources beside the events, by path."""
    found = {
        "/": Handler(lambda _: root.page(node), public=True),
        "/openapi.json": Handler(lambda _: document(node), public=True),
        REVOKE: Handler(lambda request: revoke(node, request), "admin", private=True),
    }
    public = node.settings.server.metrics_public
    for path, handler in health.handlers(node).items():
        found[path] = Handler(handler, None if public else "admin", private=not public, public=public)
    if describe is not None:
        found["/-/config"] = Handler(lambda _: health.config(describe()), "admin", private=True)
    return found
