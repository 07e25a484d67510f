"""Problem details for HTTP APIs (RFC 9457): how every refusal looks on the wire."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from eventstream.errors import Fault, Reject
from eventstream.events import strict_json

MEDIA_TYPE = "application/problem+json"
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110; Python says so from 3.13 on


def problem(refusal: Reject, *, instance: str = "") -> dict[str, Any]:
    """Return the problem object. Only what is meant for the sender goes in."""
    body: dict[str, Any] = {
        "type": refusal.type,
        "title": _title(refusal),
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if instance:
        body["instance"] = instance
    if refusal.faults:
        body["errors"] = [_fault(fault, refusal.step) for fault in refusal.faults]
    elif refusal.step:
        body["errors"] = [_fault(Fault(refusal.detail), refusal.step)]
    body.update(refusal.members)
    return body


def problem_body(refusal: Reject, *, instance: str = "") -> bytes:
    """Return the problem as JSON."""
    return strict_json.encode(problem(refusal, instance=instance))


def _title(refusal: Reject) -> str:
    if refusal.type != "about:blank":
        return refusal.type.rpartition("#")[2].replace("-", " ").capitalize()
    return _PHRASES.get(refusal.status) or HTTPStatus(refusal.status).phrase  # RFC 9457 section 4.2.1


def _fault(fault: Fault, step: str) -> dict[str, str]:
    entry = {"detail": fault.detail, "pointer": f"#{fault.pointer}"}
    if fault.step or step:
        entry["step"] = fault.step or step
    return entry
