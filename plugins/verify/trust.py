"""The keys that a step trusts, and whether one of them made a signature."""

import base64
import binascii
import hmac
from collections.abc import Collection, Sequence

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from eventstream import Key, Keys, Problem, Reject, Services

MAX_PUBLIC_CHECKS = 32  # Ed25519 checks for one request, at about 60 µs each
OFFLOAD_FROM = 256 * 1024  # signed bytes from which hashing leaves the event loop
PURPOSES = ("", "verify")

Signature = tuple[str, bytes]  # the kind of key that would make it, and its bytes


def refusal(private: str) -> Reject:
    """Return the one refusal that senders see; the log is told which fault it was."""
    return Reject("the request's signature is missing or not valid", 401, "signature", private=private)


class Trust:
    """The keys of one step, asked for at each use: they change while the server runs."""

    def __init__(self, names: Sequence[str], kinds: Collection[str], services: Services) -> None:
        """Take the owners or ids of the keys, and the kinds that count."""
        self._names = names
        self._kinds = kinds
        self._services = services

    def keys(self, name: str | None = None) -> list[Key]:
        """Return the keys that count now: all, or those whose owner or id is `name`."""
        now = self._services.now()
        return [
            key
            for owner in self._names
            for key in self._services.keys.of(owner)
            if key.kind in self._kinds
            and (name is None or name in (key.kid, key.owner))
            and key.purpose in PURPOSES
            and key.accepted(now)
        ]

    def match(self, message: bytes, signatures: Sequence[Signature], keys: Sequence[Key]) -> Key | None:
        """Return the first key that made one of the signatures."""
        if len(message) < OFFLOAD_FROM:
            return _match(message, signatures, keys)
        found: Key | None = self._services.offload(lambda: _match(message, signatures, keys))
        return found


def judge_names(names: Sequence[str], kinds: Collection[str], keys: Keys) -> list[Problem]:
    """Judge named keys: known, of the right kind, meant for this."""
    problems: list[Problem] = []
    for index, name in enumerate(names):
        pointer = f"/keys/{index}"
        found = [key for key in keys.of(name) if key.kind in kinds]
        if found and not any(key.purpose in PURPOSES for key in found):
            purpose = found[0].purpose
            problems.append(Problem(f"key {name} is for {purpose}", pointer, "a key that verifies has purpose verify"))
        elif trouble := keys.trouble(name, kinds, pointer):
            problems.append(trouble)
    return problems


def _match(message: bytes, signatures: Sequence[Signature], keys: Sequence[Key]) -> Key | None:
    budget = MAX_PUBLIC_CHECKS
    for key in keys:
        given = [signature for kind, signature in signatures if kind == key.kind]
        if key.kind == "hmac":
            expected = hmac.digest(key.private, message, "sha256") if given else b""
            if any(hmac.compare_digest(expected, signature) for signature in given):
                return key
            continue
        for signature in given:
            budget -= 1
            if budget < 0:
                return None
            if is_ed25519(key.public, message, signature):
                return key
    return None


def is_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether this is the Ed25519 signature of these bytes by this key."""
    try:
        VerifyKey(public).verify(message, signature)
    except (BadSignatureError, ValueError):  # ValueError: not 64 bytes
        return False
    return True


def read_base64(text: str) -> bytes | None:
    """Decode standard base64, padded, in its one true spelling; None for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
