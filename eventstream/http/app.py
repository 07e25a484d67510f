"""A site as a WSGI app, by Falcon: for other servers, and for the requests that ours leaves to gunicorn's parser."""

from __future__ import annotations

import re
from typing import Any

import falcon

from eventstream.components.output import Response
from eventstream.errors import Reject
from eventstream.http.exchange import HANDOFF, Exchange, facts_of
from eventstream.http.site import Site


def build_app(site: Site) -> falcon.App[Any, Any]:
    """Return the WSGI app that serves this site."""
    adapter = _Adapter(site)
    app = falcon.App()
    app.add_sink(adapter.serve, re.compile(""))  # type: ignore[arg-type]  # every path: the site knows its own
    app.add_error_handler(Exception, adapter.fail)
    return app


class _Adapter:
    """Between Falcon's requests and responses and the site's."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def serve(self, req: falcon.Request, resp: falcon.Response) -> None:
        exchange = self._open(req)
        response = self._site.answer(exchange)
        if response.take is not None and HANDOFF not in req.env and response.stream is None:
            detail = "this server cannot hand over a socket: run it with `eventstream serve`"
            response = self._site.refuse(exchange, Reject(detail, status=501, reason="server"))
        _give(req, resp, response)

    def fail(self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
        """Answer what Falcon itself refuses, and what fails between it and the site."""
        if isinstance(error, falcon.HTTPError):
            reason = f"http_{error.status_code}"
            error = Reject(error.description or f"{error.title}", status=error.status_code, reason=reason)
        _give(req, resp, self._site.refuse(self._open(req), error))

    def _open(self, req: falcon.Request) -> Exchange:
        return self._site.open(self._site.visitor(facts_of(req.env)), req.env["wsgi.input"])


def _give(req: falcon.Request, resp: falcon.Response, response: Response) -> None:
    """Give the site's response to Falcon, handing the socket over where that is asked for."""
    resp.status = response.status
    for name, value in response.headers.items():
        put = resp.append_header if name == "set-cookie" else resp.set_header  # falcon's own rule for that one
        put(name, value)
    handoff = req.env.get(HANDOFF)
    if response.take is None:
        resp.data = response.body
    elif handoff is not None:
        handoff(response.take, chunked=response.chunked)
    elif response.stream is not None:
        resp.stream = response.stream()
