"""What is done to every request and every answer."""

from __future__ import annotations

import re
from typing import Any

import falcon

from eventstream.errors import Reject
from eventstream.http.guard import Guard
from eventstream.http.message import ADMIN, request_headers, request_id
from eventstream.telemetry.log import request_id as request_id_of_lines

_ABSOLUTE = re.compile("[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class Gate:
    """Judges each request before it is routed, and finishes each answer."""

    def __init__(self, guard: Guard) -> None:
        """Take the judge."""
        self._guard = guard

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Fill `req.context` and refuse what is not for us."""
        context = req.context
        context.headers = headers = request_headers(req.env)
        context.request_id = request_id(headers)
        request_id_of_lines.set(context.request_id)
        resp.set_header("X-Request-Id", context.request_id)
        context.admin = ADMIN in req.env
        context.proxied = context.asked = False
        context.identity = None
        if context.admin:  # whoever can open the socket's file: no page, no proxy, no other host
            context.client = "admin"
            return
        peer = req.env.get("REMOTE_ADDR", "")
        context.client = self._guard.client(peer, headers)
        context.proxied = self._guard.proxied(peer)
        self._guard.check_host(headers.get("host"), req.env.get("SERVER_PROTOCOL", ""))
        target = _ABSOLUTE.match(req.env.get("RAW_URI", ""))
        if target is not None:  # RFC 9112 3.2.2: its host counts, not the header's
            headers["host"] = target[1]
            self._guard.check_host(target[1], "")
        origin = headers.get("origin")
        if origin is not None:
            if req.method == "OPTIONS" and "access-control-request-method" in headers:
                return  # a preflight asks; the answer's lack of an allowance says no
            self._guard.check_origin(origin, headers.get("host"), req.path)

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, ok: bool) -> None:
        """Let the page that asked read the answer."""
        resp.append_header("Vary", "Origin")  # also where none was sent: a cache must not serve that to a page
        origin = getattr(req.context, "headers", {}).get("origin")
        if origin is not None:
            for name, value in self._guard.cors_headers(origin, req.path).items():
                resp.set_header(name, value)


def reject_of(error: falcon.HTTPError) -> Reject:
    """Return Falcon's own refusals (404, 405, …) as ours."""
    detail = error.description or f"{error.title}"
    headers = dict(error.headers or {})
    return Reject(detail, status=error.status_code, reason=f"http_{error.status_code}", headers=headers)
