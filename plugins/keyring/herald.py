"""Telling others of changed keys: the ledger, so that streams end with their key, and the audit log."""

import logging
from collections.abc import Iterable

from eventstream import Key, Ledger

audit = logging.getLogger("eventstream.audit")

REVOKED_SECONDS = 30 * 86400.0  # how long the ledger keeps a revocation: longer than any session made before it
_AUDITED_SECONDS = 3600.0


class Herald:
    """Tells of each change once. Every worker of a server has one: the ledger knows who was first."""

    def __init__(self, ledger: Ledger, keys: Iterable[Key]) -> None:
        """Begin with keys that are no news. What was revoked earlier is told all the same."""
        self._ledger = ledger
        self._told = {key.kid: _mark(key) for key in keys if key.state != "revoked"}

    def tell(self, keys: Iterable[Key]) -> None:
        """Tell of every key that is new or changed; raises StoreBusy, and is called again then."""
        for key in keys:
            mark = _mark(key)
            if self._told.get(key.kid) == mark:
                continue
            revoked = f"revoked/key:{key.kid}"
            if key.state == "revoked" and self._ledger.get(revoked) is None:
                self._ledger.put(revoked, b"1", REVOKED_SECONDS)
            if self._ledger.claim(f"audited/key/{key.kid}/{mark}", _AUDITED_SECONDS):
                facts = {
                    "kid": key.kid,
                    "owner": key.owner,
                    "kind": key.kind,
                    "purpose": key.purpose,
                    "state": key.state,
                }
                audit.info("key_changed", extra=facts)
            self._told[key.kid] = mark


def _mark(key: Key) -> str:
    return f"{key.state} {key.expires}"
