"""`GET /events` without a stream: a JSON page of the history, and the long poll."""

from __future__ import annotations

from eventstream.components.output import Response
from eventstream.components.step import Request
from eventstream.errors import FilterError, Reject
from eventstream.events import strict_json
from eventstream.events.filter import parse_filter
from eventstream.runtime.node import Node

MAX_LIMIT = 1000
MAX_WAIT = 60.0


def history(node: Node, request: Request) -> Response:
    """Return `{events, next, earliest, latest}` behind `after`, waiting up to `wait` seconds for a match."""
    try:
        filter = parse_filter(request.query)
    except FilterError as error:
        raise Reject(str(error), status=400, reason="filter") from None
    limit = int(_number(request, "limit", 100, 1, MAX_LIMIT))
    wait = _number(request, "wait", 0.0, 0.0, MAX_WAIT)
    start = node.start(_one(request, "after") or "earliest")
    page = node.wait_page(filter, start.offset, limit, wait)
    body = [
        b'{"events":[', b",".join(record.json for record in page.records), b'],"next":',
        strict_json.encode(node.cursor(max(page.next, page.trimmed))),
        b',"earliest":', strict_json.encode(node.cursor(page.trimmed)),
        b',"latest":', strict_json.encode(node.cursor(page.head)),
    ]  # fmt: skip
    if start.gap is not None:
        body += [b',"gap":', strict_json.encode(start.gap._asdict())]
    elif start.offset < page.trimmed:
        body += [b',"gap":', strict_json.encode({
            "requested": node.cursor(start.offset), "resumed_from": node.cursor(page.trimmed), "reason": "expired",
        })]  # fmt: skip
    body.append(b"}")
    return Response(200, {"Content-Type": "application/json", "Cache-Control": "no-store"}, b"".join(body))


def _one(request: Request, name: str) -> str | None:
    values = request.query.get(name)
    return values[-1] if values else None


def _number(request: Request, name: str, default: float, least: float, most: float) -> float:
    text = _one(request, name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise Reject(f"{name} takes a number from {least:g} to {most:g}", status=400, reason="malformed")
    return value
