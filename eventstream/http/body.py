"""Reading a request's body: bounded, whole, and expanded."""

from __future__ import annotations

import zlib

from eventstream.errors import Reject
from eventstream.http.exchange import Exchange, Readable


def read_body(exchange: Exchange, limit: int) -> tuple[bytes, bytes]:
    """Read a whole request body: as received, and decompressed; raises Reject 400, 408, 413 or 415."""
    headers = exchange.headers
    coding = headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise Reject("the only transfer coding taken is chunked", status=400, reason="malformed")
    encoding = headers.get("content-encoding")
    if encoding is None:
        encoding = "identity"
    elif (encoding := encoding.strip().lower()) not in ("identity", "gzip", "x-gzip"):
        raise Reject(
            f"content encoding {encoding!r} is not accepted", status=415, reason="encoding",
            headers={"Accept-Encoding": "gzip"},
        )  # fmt: skip
    told = headers.get("content-length")
    length = int(told) if told is not None else None
    if length is not None and length > limit:
        raise too_large(limit)
    body = _read(exchange.body, limit + 1 if length is None else length)
    if length is not None and len(body) < length:
        raise Reject("the body ended before its Content-Length", status=400, reason="malformed")
    if len(body) > limit:
        raise too_large(limit)
    return body, (body if encoding == "identity" else _gunzip(body, limit))


def _read(stream: Readable, size: int) -> bytes:
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
