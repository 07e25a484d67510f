"""The WSGI app of one node: routes, refusals as problems."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import falcon

from eventstream.components.identity import Identity, Right
from eventstream.components.output import Output, Response
from eventstream.errors import Reject, StepError, StoreBusy
from eventstream.http import health, root
from eventstream.http.guard import Guard
from eventstream.http.history import history
from eventstream.http.ingest import ingest
from eventstream.http.message import answer, component_request, read_body
from eventstream.http.middleware import Gate, reject_of
from eventstream.http.openapi import document
from eventstream.http.revoke import revoke
from eventstream.runtime.account import note_refused
from eventstream.runtime.node import Node
from eventstream.telemetry.log import get_logger
from eventstream.wire.problem import MEDIA_TYPE, problem_body

log = get_logger("http")

EVENTS = "/events"
REVOKE = "/-/revoke"
_SENDER = re.compile(r"[A-Za-z0-9.*_:/\[\]-]{1,253}\Z")  # a DNS name as senders write it, or `*`
SUSPICIOUS = frozenset({"origin", "host"})  # logged at a bounded rate; the node knows more such reasons


class Handler(NamedTuple):
    """What answers one method of a path, and who may ask."""

    call: Callable[[Any], Response]
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

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer GET, and HEAD, whose body Falcon leaves out."""
        if self.outputs:
            self._identify(req)
            request = component_request(req)
            for output in self.outputs:
                if output.accepts(request):
                    answer(req, resp, output.handle(request))
                    return
            if "GET" not in self.handlers:  # nobody else answers here: it knows best what is wrong
                answer(req, resp, self.outputs[0].handle(request))
                return
        self._handle(req, resp, "GET")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer POST and every other method that may carry a body."""
        self._handle(req, resp, req.method)

    on_head = on_get
    on_put = on_patch = on_delete = on_trace = on_connect = on_post

    def _handle(self, req: falcon.Request, resp: falcon.Response, method: str) -> None:
        handler = self.handlers.get(method)
        if handler is None:
            raise falcon.HTTPMethodNotAllowed(self.methods)
        if not handler.public:
            self._judge(handler, req)
        limit = self._node.settings.server.limits.body
        received, body = (b"", b"") if method == "GET" else read_body(req, limit)
        answer(req, resp, handler.call(component_request(req, received, body)))

    def _judge(self, handler: Handler, req: falcon.Request) -> None:
        """Refuse who may not ask. The admin socket has every right but those to events."""
        access, context = self._node.access, req.context
        if access is None:
            if handler.private and not context.admin:
                raise Reject("this is shown on the admin socket only", status=403, reason="private")
            return
        identity = self._identify(req)
        if handler.right is not None and not context.admin:
            access.require(identity, handler.right, context.client)

    def _identify(self, req: falcon.Request) -> Identity | None:
        """Find out once who asks; raises Reject 401 for a credential that is not good."""
        access, context = self._node.access, req.context
        if access is not None and not context.asked:
            context.asked = True
            context.identity = access.identify(component_request(req))
        identity: Identity | None = context.identity
        return identity

    def on_options(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer preflights, and the CloudEvents webhook handshake (abuse protection, section 4)."""
        headers = req.context.headers
        resp.status = 204
        resp.set_header("Allow", ", ".join(self.methods))
        origin = headers.get("origin")
        if origin is not None and self._guard.allows(origin, req.path):
            for name, value in self._guard.preflight_headers(headers, self.methods).items():
                resp.set_header(name, value)
        webhook = headers.get("webhook-request-origin")
        if webhook is not None and "POST" in self.handlers and _SENDER.match(webhook):
            resp.set_header("WebHook-Allowed-Origin", webhook)
            resp.set_header("WebHook-Allowed-Rate", "*")


def build_app(node: Node, describe: Callable[[], Mapping[str, Any]] | None = None) -> falcon.App[Any, Any]:
    """Return the WSGI app that serves this node. `describe` tells what runs: `/-/config`, on the admin socket."""
    guard = Guard(node.settings.server)
    app = falcon.App(middleware=[Gate(guard)])
    refusals = Refusals(node)
    app.add_error_handler(Exception, refusals.unexpected)
    app.add_error_handler(falcon.HTTPError, refusals.http)
    app.add_error_handler(StepError, refusals.step)
    app.add_error_handler(StoreBusy, refusals.busy)
    app.add_error_handler(Reject, refusals.reject)
    resources: dict[str, Resource] = {}

    def at(path: str) -> Resource:
        if path not in resources:
            resources[path] = Resource(node, guard)
            app.add_route(path, resources[path])
        return resources[path]

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
    return app


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


class Refusals:
    """Turns every error into a problem, a log line and a count."""

    def __init__(self, node: Node) -> None:
        """Share the node's metrics."""
        self._node = node

    def reject(self, req: falcon.Request, resp: falcon.Response, error: Reject, params: Any) -> None:
        """Answer a refusal."""
        self._log(req, error)
        resp.status = error.status
        resp.content_type = MEDIA_TYPE
        resp.data = problem_body(error, instance=f"urn:request:{req.context.request_id}")
        for name, value in error.headers.items():
            resp.set_header(name, value)

    def _log(self, req: falcon.Request, error: Reject) -> None:
        if error.reason in SUSPICIOUS:
            detail = error.private or error.detail
            self._node.bounded.note("refused", error.reason, detail=detail, client=req.context.client, path=req.path)
            if self._node.audit is not None:
                note_refused(self._node.audit, error, None, req.context.client)

    def http(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
        """Answer Falcon's own refusals."""
        self._node.metrics.refused(f"http_{error.status_code}")
        self.reject(req, resp, reject_of(error), params)

    def busy(self, req: falcon.Request, resp: falcon.Response, error: StoreBusy, params: Any) -> None:
        """Answer overload and store trouble: nothing was acknowledged, try again."""
        self._node.metrics.refused("busy")
        self._node.bounded.note("store_busy", "busy", level=logging.ERROR, error=str(error))
        refusal = Reject(
            "the server cannot take events right now; nothing was stored", status=503, reason="busy",
            headers={"Retry-After": str(error.retry_after)},
        )  # fmt: skip
        self.reject(req, resp, refusal, params)

    def step(self, req: falcon.Request, resp: falcon.Response, error: StepError, params: Any) -> None:
        """Answer a step's failure, naming its place."""
        self._node.metrics.refused("step")
        log.error("step_error", step=error.step, error=str(error))
        refusal = Reject(
            "a step of the pipeline failed; nothing was stored", status=500, reason="step", step=error.step
        )
        self.reject(req, resp, refusal, params)

    def unexpected(self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
        """Answer a bug of ours: a fingerprint to look for in the log, nothing else."""
        fingerprint = self._node.metrics.error(error)
        log.error("request_failed", fingerprint=fingerprint, exc_info=error)
        refusal = Reject("the server failed", status=500, reason="bug", members={"fingerprint": fingerprint})
        self.reject(req, resp, refusal, params)
