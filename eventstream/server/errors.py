"""What gunicorn's parser refuses, answered as a problem like every other refusal."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gunicorn.http import errors

from eventstream.errors import Reject
from eventstream.telemetry.bounded import Bounded
from eventstream.telemetry.log import get_logger
from eventstream.wire.problem import MEDIA_TYPE, problem_body

log = get_logger("parser")

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.ExpectationFailed, 417),
)


def write_problem(client: Any, error: Exception, bounded: Bounded) -> None:
    """Answer a request that is not HTTP as we take it, and let the caller close the connection."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    bounded.note("request_malformed", "parser", status=status, error=type(error).__name__)
    detail = f"not a request this server takes: {type(error).__name__}"
    body = problem_body(Reject(detail, status=status, reason="malformed"))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        client.settimeout(1.0)
        client.sendall(head.encode("latin-1") + body)
    except OSError:
        log.debug("peer_gone")  # it did not wait for the answer
