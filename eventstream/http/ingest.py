"""`POST /events`: bodies to events, results to receipts and problems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from eventstream.components.identity import Identity
from eventstream.components.output import Response, Result, Sent, Stored, Submission
from eventstream.components.step import Request
from eventstream.errors import Fault, Reject
from eventstream.events import strict_json
from eventstream.events.codec import Form, Incoming
from eventstream.events.http_binding import Decoded, decode_request
from eventstream.runtime.node import Node
from eventstream.runtime.published import Published
from eventstream.wire.problem import problem

JSON = {"Content-Type": "application/json"}
_KEY = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"|([\x21\x23-\x5b\x5d-\x7e]+)')
_PARTIAL = re.compile(r"(?:^|[,;\s])batch=partial(?:$|[,;\s])")
MAX_KEY = 255


def ingest(node: Node, request: Request) -> Response:
    """Publish a request's events and answer with what became of them; raises Reject, StoreBusy."""
    decoded = _decode(node, request)
    key = idempotency_key(request.headers)
    items, keyed = _with_key(decoded.items, key_of(request.identity, key))
    prefer = request.headers.get("prefer")
    partial = prefer is not None and _PARTIAL.search(prefer) is not None
    published = node.ingest(Submission(items, decoded.form, request, request.client, not partial, request.identity))
    if decoded.form is Form.BATCH:
        response = _answer_batch(published, partial=partial)
    else:
        response = _answer_one(published.results[0], keyed=keyed)
    response.headers = {**published.headers, **response.headers}
    return response


def _decode(node: Node, request: Request) -> Decoded:
    """Decode the body; a forged request is told only that."""
    limits = node.settings.server.limits
    try:
        decoded = decode_request(
            request.headers,
            request.body,
            now=node.now(),
            max_batch=limits.batch,
            max_depth=limits.depth,
            attributes=node.attributes(request),
        )
    except Reject as refusal:
        raise node.forged(request) or refusal from None
    if Reject in set(map(type, decoded.items)) and (forged := node.forged(request)):
        raise forged
    return decoded


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the Idempotency-Key: a Structured Fields string, or bare as many clients send it."""
    raw = headers.get("idempotency-key")
    if raw is None:
        return None
    match = _KEY.fullmatch(raw.strip())
    key = (re.sub(r"\\(.)", r"\1", match[1]) if match[1] else match[2]) if match else ""
    if not key or len(key) > MAX_KEY:
        raise Reject(
            f"Idempotency-Key takes a quoted string of at most {MAX_KEY} printable characters",
            status=400,
            reason="malformed",
        )
    return key


def key_of(identity: Identity | None, key: str | None) -> str | None:
    """Return the key under the caller's identity: two callers may choose the same."""
    return key if identity is None or key is None else f"{quote(identity.name, safe='')}:{key}"


def _with_key(items: Sequence[Incoming | Reject], key: str | None) -> tuple[Sequence[Incoming | Reject], bool]:
    """Give the events that came without an id theirs: `key`, `key-1` and so on."""
    if key is None:
        return items, False
    named: list[Incoming | Reject] = []
    used = 0
    for item in items:
        if isinstance(item, Incoming) and not item.identified:
            named.append(item._replace(event=item.event.replace(id=key if used == 0 else f"{key}-{used}")))
            used += 1
        else:
            named.append(item)
    return named, used > 0


def _answer_one(result: Result, *, keyed: bool) -> Response:
    if isinstance(result, Reject):
        if keyed and result.status == 409:
            raise Reject("this Idempotency-Key was used for other content", status=422, reason="conflict")
        raise result
    return Response(_status([result]), JSON, strict_json.encode(result))


def _answer_batch(published: Published, *, partial: bool) -> Response:
    refused = published.refused
    results = published.results
    accepted = [result for result in results if not isinstance(result, Reject)] if refused else results
    if refused and (not partial or not accepted):
        raise _whole(refused, len(published.results))
    headers = {**JSON, "Preference-Applied": "batch=partial"} if partial else JSON
    body = {"receipts": [_item(result) for result in published.results] if refused else published.results}
    return Response(_status(accepted), headers, strict_json.encode(body))


def _status(results: Sequence[Result]) -> int:
    """201 when anything new has its place, 202 when something was taken without one, else 200."""
    status = 200
    for result in results:
        if isinstance(result, Sent):
            status = 202
        elif isinstance(result, Stored) and not result.duplicate:
            return 201
    return status


def _item(result: Result) -> Any:
    return {"problem": problem(result)} if isinstance(result, Reject) else result


def _whole(refused: Sequence[tuple[int, Reject]], total: int) -> Reject:
    """Refuse a batch as a whole: the first refusal's kind, every refusal's faults with their position."""
    first = refused[0][1]
    faults = [
        Fault(fault.detail, f"/{position}{fault.pointer}", fault.step or refusal.step)
        for position, refusal in refused[:100]
        for fault in refusal.faults or (Fault(refusal.detail),)
    ]
    return Reject(
        f"{len(refused)} of {total} events were refused, so none was published",
        status=first.status,
        reason=first.reason,
        faults=faults[:100],
        headers=first.headers,
        type=first.type,
        members=first.members,
        private=first.private,
    )
