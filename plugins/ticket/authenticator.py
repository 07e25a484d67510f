"""The authenticator `ticket`: what an `EventSource` can carry, a single-use ticket or a cookie."""

from collections.abc import Mapping
from typing import Any, ClassVar

from eventstream import Authenticator, Identity, Reject, Request, Services

from .record import COOKIE, digest, find, sessions

_READING = frozenset({"GET", "HEAD"})


class TicketAuthenticator(Authenticator):
    """Know callers by a ticket in the query (`GET /events?ticket=…`), or by a session's cookie.

    Both come from `POST /tickets` (add the route `tickets`) and stand for whoever asked for them, until
    that identity expires or is revoked. A ticket opens one stream or WebSocket within 30 s, and is used up
    by it. The cookie goes with each request that the browser makes to the stream, also when a bare
    `EventSource` comes back; it only lets read, never publish. A request with `Authorization` is not known
    by its cookie. Tickets and sessions can be revoked by `ticket:<hash>` and `session:<hash>`, as the log
    names them.
    """

    name = "ticket"
    scheme: ClassVar[Mapping[str, Any]] = {"type": "apiKey", "in": "query", "name": "ticket"}
    examples: ClassVar[list[Any]] = [{}]

    def open(self, services: Services) -> None:
        """Keep the ledger and what tells the time."""
        self._ledger = services.ledger
        self._now = services.now

    def authenticate(self, request: Request) -> Identity | None:
        """Return whom a ticket or a session stands for; None without one. Raises Reject 401, StoreBusy."""
        tickets = request.query.get("ticket", ())
        if tickets:
            if request.method not in _READING:
                raise _refusal("a ticket opens streams, by GET")
            if len(tickets) > 1:
                raise _refusal("two tickets in one request")
            return self._redeem(tickets[0])
        if request.method in _READING and "authorization" not in request.headers:
            return self._session(request.headers.get("cookie", ""))
        return None

    def _redeem(self, text: str) -> Identity:
        now = self._now()
        record = find(self._ledger, "ticket", text, now)
        if record is None:
            raise _refusal("the ticket is unknown or too old")
        if not self._ledger.claim(f"ticket/{digest(text)}", record.until - now + 1):
            raise _refusal("the ticket was used before")
        return record.identity

    def _session(self, cookie: str) -> Identity | None:
        texts = sessions(cookie) if COOKIE in cookie else []
        if not texts:
            return None
        if len(texts) > 1:
            raise _refusal("two sessions in one request")
        record = find(self._ledger, "session", texts[0], self._now())
        if record is None:
            raise _refusal("the session is unknown or over")
        return record.identity


def _refusal(private: str) -> Reject:
    return Reject("the credential is not valid", 401, "credential", private=private)
