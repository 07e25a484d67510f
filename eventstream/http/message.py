"""Between Falcon's requests and responses and those that components see."""

from __future__ import annotations

import re
import secrets
import zlib
from typing import Any
from urllib.parse import parse_qs

import falcon

from eventstream.components.output import Response
from eventstream.components.step import Request
from eventstream.errors import Reject

ADMIN = "eventstream.admin"  # environ: set where the request came over the admin socket
HANDOFF = "eventstream.handoff"  # environ: call it with `take` to get the socket after the head
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
MAX_PARAMETERS = 200


def request_headers(environ: dict[str, Any]) -> dict[str, str]:
    """Return the headers by lower-case name."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    for key, name in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(key):
            headers[name] = environ[key]
    return headers


def request_id(headers: dict[str, str]) -> str:
    """Return the caller's request id when it is harmless, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else secrets.token_hex(8)


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


def component_request(req: falcon.Request, received: bytes = b"", body: bytes = b"") -> Request:
    """Return the request as components see it."""
    context = req.context
    return Request(
        req.method,
        req.path,
        context.headers,
        body,
        received,
        query(req.query_string),
        context.client,
        req.env.get("SERVER_PROTOCOL", "HTTP/1.0"),
        context.request_id,
        context.proxied,
        context.identity,
        target=req.env.get("RAW_URI") or req.relative_uri,
    )


def read_body(req: falcon.Request, limit: int) -> tuple[bytes, bytes]:
    """Read a whole request body: as received, and decompressed; raises Reject 400, 408, 413 or 415."""
    headers = req.context.headers
    if headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise Reject("the only transfer coding taken is chunked", status=400, reason="malformed")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Reject(
            f"content encoding {encoding!r} is not accepted", status=415, reason="encoding",
            headers={"Accept-Encoding": "gzip"},
        )  # fmt: skip
    length = headers.get("content-length")
    if length is not None and int(length) > limit:
        raise too_large(limit)
    body = _read(req.env["wsgi.input"], int(length) if length is not None else limit + 1)
    if length is not None and len(body) < int(length):
        raise Reject("the body ended before its Content-Length", status=400, reason="malformed")
    if len(body) > limit:
        raise too_large(limit)
    return body, (body if encoding == "identity" else _gunzip(body, limit))


def _read(stream: Any, size: int) -> bytes:
    try:
        body: bytes = stream.read(size)
    except Reject:
        raise
    except Exception as error:  # noqa: BLE001  # each WSGI server has its own for bad chunks and for a peer that leaves
        detail = f"the body cannot be read: {type(error).__name__}"
        raise Reject(detail, status=400, reason="malformed", headers={"Connection": "close"}) from None
    return body


def too_large(limit: int) -> Reject:
    """Return the refusal of a body over the limit; the connection is closed, since its rest is not read."""
    return Reject(
        f"the body has more than {limit} bytes",
        status=413,
        reason="too_large",
        members={"limit": int(limit)},  # a Size is no JSON
        headers={"Connection": "close"},
    )


def _gunzip(body: bytes, limit: int) -> bytes:
    """Expand a gzip body, never past the limit."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        expanded = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Reject("the body is not gzip, as Content-Encoding says", status=400, reason="malformed") from None
    if len(expanded) > limit:
        raise too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise Reject("the gzip body is cut short or followed by other bytes", status=400, reason="malformed")
    return expanded


def answer(req: falcon.Request, resp: falcon.Response, response: Response) -> None:
    """Give a component's response to Falcon, handing the socket over where that is asked for."""
    handoff = req.env.get(HANDOFF)
    if response.take is not None and handoff is None and response.stream is None:
        raise Reject(
            "this server cannot hand over a socket: run it with `eventstream serve`", status=501, reason="server"
        )
    resp.status = response.status
    for name, value in response.headers.items():
        put = resp.append_header if name == "Set-Cookie" else resp.set_header  # falcon's own rule for that one
        put(name, value)
    if response.take is None or req.method == "HEAD":
        resp.data = response.body
    elif handoff is not None:
        handoff(response.take, chunked=response.chunked)
    elif response.stream is not None:
        resp.stream = response.stream()
