"""`GET /events` without a stream: a JSON page of the history, and the long poll."""

from __future__ import annotations

import re

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
        wanted = parse_filter(request.query)
    except FilterError as error:
        raise Reject(str(error), status=400, reason="filter") from None
    node.admit(request.identity, wanted, request.client)
    limit = _limit(request)
    wait = _wait(request)
    start = node.start(_one(request, "after") or "earliest")
    page = node.wait_page(wanted, start.offset, limit, wait, request.identity)
    if wait:
        node.admit(request.identity, wanted, request.client)  # the credential may have ended meanwhile
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


def _limit(request: Request) -> int:
    text = _one(request, "limit") or "100"
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise Reject(f"limit takes a whole number from 1 to {MAX_LIMIT}", status=400, reason="malformed")
    return int(text)


def _wait(request: Request) -> float:
    text = _one(request, "wait") or "0"
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,9})?", text) or float(text) > MAX_WAIT:
        raise Reject(f"wait takes seconds from 0 to {MAX_WAIT:g}", status=400, reason="malformed")
    return float(text)
