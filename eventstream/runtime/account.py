"""What the audit log is told of events that come in and of refusals."""

from __future__ import annotations

from collections import Counter

from eventstream.components.identity import Identity
from eventstream.components.output import Result, Sent, Stored, Submission
from eventstream.errors import Reject
from eventstream.runtime.access import REFUSED
from eventstream.runtime.published import UNPUBLISHED, Published
from eventstream.telemetry.audit import Audit

SUSPICIOUS = frozenset({"signature", "quota", *REFUSED})  # reasons of refusals that are worth a line


def note_published(audit: Audit, submission: Submission, published: Published) -> None:
    """Write a line of what became of one request's events, and one of the first suspicious refusal among them."""
    suspicious = [refusal for refusal in published.refusals.values() if refusal.reason in SUSPICIOUS]
    if suspicious:
        note_refused(audit, suspicious[0], submission.identity, submission.client, len(suspicious))
    taken = next((result for result in published.results if not isinstance(result, Reject)), None)
    if taken is None or not audit.wants("published"):
        return
    keys = {"key": [one.key for one in published.contexts], "kid": [one.kid for one in published.contexts]}
    audit.write(
        "published",
        submission.identity,
        client=submission.client,
        pipelines=[context.pipeline for context in published.contexts],
        **{name: sorted({one for one in values if one is not None}) for name, values in keys.items()},
        events=len(published.results),
        id=taken.id,
        source=taken.source,
        results=Counter(map(_word, published.results)),
    )


def note_refused(audit: Audit, refusal: Reject, identity: Identity | None, client: str, events: int = 0) -> None:
    """Write a line of a refusal, with its private reason; `events` that it stands for, 0: it is no event's."""
    facts = {"events": events} if events else {}
    detail = refusal.private or refusal.detail
    audit.note("refused", identity, status=refusal.status, reason=refusal.reason, detail=detail, client=client, **facts)


def _word(result: Result) -> str:
    if isinstance(result, Stored):
        return "repeated" if result.duplicate else "stored"
    if isinstance(result, Sent):
        return "sent"
    return "unpublished" if result is UNPUBLISHED else "refused"
