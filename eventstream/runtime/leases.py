"""On whose identity each stream stands, and when that ends. A stream of nobody known costs nothing here."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from eventstream.components.identity import Identity
from eventstream.events.filter import Filter
from eventstream.runtime.access import Access, Ended
from eventstream.runtime.revocations import credentials_of
from eventstream.telemetry.audit import Audit

if TYPE_CHECKING:
    from eventstream.runtime.sink import Sink

SLACK = 64  # expiries of streams that have left, beyond as many as there are streams


class Leases:
    """The identities of one hub's sinks, by expiry and by credential."""

    def __init__(self, access: Access | None, audit: Audit | None, now: Callable[[], float]) -> None:
        """Without `access` nobody is refused; `now` tells Unix seconds."""
        self._access = access
        self._audit = audit
        self._now = now
        self._identities: dict[Sink, Identity] = {}
        self._by_credential: dict[str, set[Sink]] = {}
        self._expiries: list[tuple[float, int, Sink]] = []  # a heap; those that have left stay until they are many
        self._number = count()
        self._revision = access.revision if access is not None else 0  # of the keys, as the heap knows them
        self._revoked: deque[str] = deque()
        self._reasons: dict[Sink, Ended] = {}

    def open(self, sink: Sink, identity: Identity) -> None:
        """Note whose stream this is."""
        self._identities[sink] = identity
        for credential in credentials_of(identity):
            self._by_credential.setdefault(credential, set()).add(sink)
        self._note_expiry(sink, identity)
        if self._access is not None and self._access.ended(identity) == "revoked":  # since it was asked for
            self._revoked.append(credentials_of(identity)[0])

    def _note_expiry(self, sink: Sink, identity: Identity) -> None:
        expires = self._access.expires(identity) if self._access is not None else math.inf
        if expires < math.inf:
            heapq.heappush(self._expiries, (expires, next(self._number), sink))

    def _note_expiries(self) -> None:
        self._expiries = []
        for sink, identity in self._identities.items():
            self._note_expiry(sink, identity)

    def admit(self, sink: Sink, filter: Filter) -> None:
        """Raise Reject unless the stream's identity may subscribe to all of `filter`, whatever its output asked."""
        identity = self._identities.get(sink)
        if self._access is not None:
            self._access.admit(identity, filter)
        if self._audit is not None:
            self._audit.note("subscribed", identity, output=sink.output, filter=filter.key)

    def close(self, sink: Sink, reason: str) -> None:
        """Forget a stream that is gone."""
        reason = self._reasons.pop(sink, reason)
        identity = self._identities.pop(sink, None)
        if identity is not None:
            for credential in credentials_of(identity):
                sinks = self._by_credential.get(credential, set())
                sinks.discard(sink)
                if not sinks:
                    self._by_credential.pop(credential, None)
            if len(self._expiries) > 2 * len(self._identities) + SLACK:
                self._note_expiries()
        if self._audit is not None:
            self._audit.note("left", identity, output=sink.output, reason=reason)

    def revoke(self, credential: str) -> None:
        """Note that a credential counts no more; from any thread."""
        self._revoked.append(credential)

    def wait(self, limit: float) -> float:
        """Return the seconds until a stream's time is over, at most `limit`."""
        return min(limit, max(0.0, self._expiries[0][0] - self._now())) if self._expiries else limit

    def due(self) -> dict[Sink, Ended]:
        """Take the streams whose time is over, and why."""
        ended: dict[Sink, Ended] = {}
        while self._revoked:
            ended |= dict.fromkeys(self._by_credential.get(self._revoked.popleft(), ()), "revoked")
        if self._access is not None and self._access.revision != self._revision:
            self._revision = self._access.revision
            self._note_expiries()
        now = self._now()
        while self._expiries and self._expiries[0][0] <= now:
            _, _, sink = heapq.heappop(self._expiries)
            if sink in self._identities:
                ended.setdefault(sink, "expired")
        self._reasons |= ended
        return ended
