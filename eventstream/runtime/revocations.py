"""Credentials that no longer count, as the ledger tells every worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from eventstream.components.component import Duration
from eventstream.components.identity import Identity
from eventstream.components.ledger import Ledger

PREFIX = "revoked/"  # of the ledger's keys: `revoked/token:abc`, `revoked/name:shop`
MAX_CREDENTIAL = 512  # characters
MAX_GOOD = 10_000  # credentials known to be good; others are asked for
MAX_REVOKED = 100_000
DEFAULT = Duration(30 * 86400)
LONGEST = Duration(3650 * 86400)
KINDS = ("certificate", "key", "name", "session", "ticket", "token")  # another text is the name of an identity
ASK_AGAIN = 5.0  # seconds: a revocation ends when the ledger's entry does


def revoke(ledger: Ledger, credential: str, seconds: float) -> None:
    """Let a credential count no more for so long, in every worker; raises ValueError, StoreBusy."""
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"a revocation lasts more than 0 s, and at most {LONGEST.written()}")
    if not credential.isprintable() or not 0 < len(credential) <= MAX_CREDENTIAL:
        raise ValueError(f"a credential has 1 to {MAX_CREDENTIAL} printable characters")
    ledger.put(PREFIX + credential, b"1", seconds)


def credential_of(text: str) -> str:
    """Return the credential that a text means: itself (`token:…`, one of KINDS), or else `name:` and the text."""
    return text if text.partition(":")[0] in KINDS and ":" in text else f"name:{text}"


def credentials_of(identity: Identity) -> tuple[str, ...]:
    """Return what may have been revoked: its credentials, and its name."""
    name = f"name:{identity.name}"
    return identity.credentials if name in identity.credentials else (*identity.credentials, name)


class Revocations:
    """What is known of revocations in this worker. The ledger is asked once for each credential."""

    def __init__(self, ledger: Ledger, now: Callable[[], float]) -> None:
        """Ask the ledger; `now` tells Unix seconds. Nothing is remembered before `watch`."""
        self._ledger = ledger
        self._now = now
        self._told: Callable[[str], None] | None = None
        self._good: OrderedDict[str, None] = OrderedDict()
        self._revoked: dict[str, float] = {}  # credential -> when to ask again
        self._changes = 0

    def watch(self, told: Callable[[str], None]) -> None:
        """Call `told(credential)`, from any thread, within a second of each revocation by any process."""
        self._told = told
        self._ledger.watch(self._changed)

    def revoked(self, identity: Identity) -> bool:
        """Tell whether one of its credentials, or its name, is revoked; raises StoreBusy."""
        for credential in credentials_of(identity):  # plainly: every request comes this way
            if credential in self._good:
                self._good.move_to_end(credential)
            elif not self._is_good(credential):
                return True
        return False

    def known(self, identity: Identity) -> bool:
        """Like `revoked`, by what was told or asked before: never waits."""
        return bool(self._revoked) and any(credential in self._revoked for credential in credentials_of(identity))

    def _is_good(self, credential: str) -> bool:
        if self._revoked.get(credential, 0.0) > self._now():
            return False
        changes = self._changes
        good = self._ledger.get(PREFIX + credential) is None
        if not good:
            self._note(credential)
        elif changes == self._changes:  # else it may have been revoked while we asked
            self._revoked.pop(credential, None)
            if self._told is not None:
                self._good[credential] = None
            if len(self._good) > MAX_GOOD:
                self._good.popitem(last=False)
        return good

    def _changed(self, key: str, value: bytes) -> None:
        if key.startswith(PREFIX):
            self._changes += 1
            credential = key.removeprefix(PREFIX)
            self._note(credential)
            if self._told is not None:
                self._told(credential)

    def _note(self, credential: str) -> None:
        self._good.pop(credential, None)
        self._revoked.pop(credential, None)
        self._revoked[credential] = self._now() + ASK_AGAIN
        if len(self._revoked) > MAX_REVOKED:
            del self._revoked[next(iter(self._revoked))]
