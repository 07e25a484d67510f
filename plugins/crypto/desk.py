"""The desk: what the operations of one request work with. Keys, the caller's rights, and turns for long calls."""

import base64
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from eventstream import Identity, Key, Keyring, Reject, Services
from eventstream_plugins.crypto.fields import GivenKey, Lifetime
from eventstream_plugins.crypto.options import OWN, CryptoOptions
from eventstream_plugins.crypto.refusals import refuse
from eventstream_plugins.crypto.turns import Turns
from eventstream_plugins.points import SIZE, judge_pair, judge_private, judge_public

PURPOSE = "crypto"  # of keys that callers keep: no other part of the server uses them
SEAL = "seal"  # of keys that readers register
OFFLOAD_FROM = 64 * 1024  # bytes; below it a cipher takes less time than the way to a thread and back
_MINE = frozenset({"", PURPOSE})
_PUBLIC = {"curve25519": _MINE | {SEAL}, "ed25519": _MINE | {"verify", "sign"}}
_LIFETIME = 10 * 366 * 86400
_LAST = 253402300799.0  # the last second that RFC 3339 can write


class Desk:
    """Serves one request: `identity` asks, `now` is its time."""

    def __init__(
        self,
        options: CryptoOptions,
        services: Services,
        identity: Identity | None,
        ciphers: Turns,
        hash_password: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Share the route's turns; `hash_password` takes the jobs of `eventstream_plugins.crypto.hashing`."""
        self.options = options
        self._services = services
        self._identity = identity
        self._ciphers = ciphers
        self.hash_password = hash_password
        self._now = services.now()

    # -- work ----------------------------------------------------------------------------------

    def work(self, size: int, call: Callable[[], Any]) -> Any:
        """Run a cipher or hash over `size` bytes; off the event loop when that takes long."""
        return call() if size < OFFLOAD_FROM else self._ciphers.run(lambda: self._services.offload(call))

    # -- keys in use ---------------------------------------------------------------------------

    def public(self, given: GivenKey, kind: str, pointer: str, *, new: bool) -> bytes:
        """Return a good public half. `new` tells whether something is made with it, or only checked and opened."""
        if not given.kid:
            self._check_inline(pointer)
            raw = given.raw
        else:
            raw = self._known(given.kid, [kind], _PUBLIC[kind], pointer, new=new).public
            if not raw:
                raise refuse("the public half of this key is not here", pointer)
        _check(judge_public(kind, raw), pointer)
        return raw

    def private(self, given: GivenKey, kind: str, pointer: str, *, new: bool) -> bytes:
        """Return a good private half (of Ed25519: the seed), or a `secret`'s bytes."""
        if not given.kid:
            self._check_inline(pointer)
            _check(judge_half(kind, given.raw), pointer)
            return given.raw[:SIZE]
        return self._entrusted(given.kid, [kind], pointer, new=new)

    def mac_key(self, given: GivenKey, pointer: str) -> bytes:
        """Return a key for a keyed hash: 16 to 64 bytes."""
        if given.kid:
            raw = self._entrusted(given.kid, ["hmac", "secret"], pointer, new=True)
        else:
            self._check_inline(pointer)
            raw = given.raw
        if not 16 <= len(raw) <= 64:
            raise refuse(f"this key has {len(raw)} bytes; the key of a hash has 16 to 64", pointer)
        _check(None if any(raw) else "is all zero", pointer)
        return raw

    def find(self, kid: str, pointer: str) -> Key:
        """Return a key that the server knows, whatever its state."""
        key = self._services.keys.find(kid)
        if key is None:
            raise refuse(f"there is no key {kid}", pointer)
        return key

    def trouble(self, key: Key, *, new: bool) -> str | None:
        """Say why a key does not count now, in words that fit behind "this key"."""
        match key.lapse(self._now):
            case "revoked":
                return "is revoked"
            case "not_yet_valid":
                return f"is not valid before {written(key.not_before)}"
            case "expired":
                return f"expired at {written(key.expires)}"
        if new and not key.in_use(self._now):
            return f"is {key.state}: it opens and verifies what there is, and makes nothing new"
        return None

    def _check_inline(self, pointer: str) -> None:
        if not self.options.inline_keys:
            raise refuse("keys are not taken here: name one by its kid", pointer, 403)

    def _known(self, kid: str, kinds: Sequence[str], purposes: frozenset[str], pointer: str, *, new: bool) -> Key:
        key = self.find(kid, pointer)
        if key.kind not in kinds:
            raise refuse(f"this key is of kind {key.kind}; {' or '.join(kinds)} is needed here", pointer)
        if key.purpose not in purposes:
            raise refuse(f"this key is for another purpose: {key.purpose}", pointer, 403)
        _check(self.trouble(key, new=new), pointer)
        return key

    def _entrusted(self, kid: str, kinds: Sequence[str], pointer: str, *, new: bool) -> bytes:
        """Return a private half of ours, which this caller may use."""
        owner = self.find(kid, pointer).owner
        if not self._listed(self.options.use, owner):
            raise refuse(f"you may not use keys of {owner}", pointer, 403)
        key = self._known(kid, kinds, _MINE, pointer, new=new)
        if not key.private:
            raise refuse("the private half of this key is not here", pointer)
        if key.kind != "hmac":
            _check(judge_half(key.kind, key.private), pointer)
            return key.private[:SIZE]
        return key.private

    def _listed(self, owners: Sequence[str], owner: str) -> bool:
        return any(self._matches(pattern, owner) for pattern in owners)

    def _matches(self, pattern: str, owner: str) -> bool:
        if pattern == OWN:
            return self._identity is not None and self._identity.name == owner
        return owner.startswith(pattern[:-1]) if pattern.endswith("*") else owner == pattern

    # -- keys to keep --------------------------------------------------------------------------

    def keep(self, owner: str, kind: str, public: bytes, private: bytes, lifetime: Lifetime | None) -> Key:
        """Keep a new key that callers made here; it serves this route alone."""
        if not self._listed(self.options.keep, owner):
            raise refuse(f"you may not keep keys for {owner}", "/keep/owner", 403)
        return self._add(owner, kind, public, private, PURPOSE, self._end(lifetime, "/keep/expires"), "/keep/owner")

    def register(self, owner: str, public: bytes, lifetime: Lifetime | None) -> Key:
        """Keep somebody's public Curve25519 key, to seal events to; the same one again is the one there is."""
        if not self._listed(self.options.register, owner):
            raise refuse(f"you may not register keys for {owner}", "/owner", 403)
        expires = self._end(lifetime, "/expires")
        known = self._holding(public)
        if known is None or known.lapse(self._now) == "expired":  # the keyring lets go of those
            try:
                return self._add(owner, "curve25519", public, b"", SEAL, expires, "/owner")
            except Reject:
                known = self._holding(public)  # another worker may have been faster
                if known is None:
                    raise
        if (known.owner, known.kind) != (owner, "curve25519") or known.purpose not in ("", SEAL):
            raise refuse("this key is here already, for something else", "/public_key")
        _check(self.trouble(known, new=True), "/public_key")
        return known

    def _holding(self, public: bytes) -> Key | None:
        return next((key for key in self._services.keys.all() if key.public == public), None)

    def _end(self, lifetime: Lifetime | None, pointer: str) -> float:
        if lifetime is None:
            return float("inf")
        if not 1 <= lifetime <= _LIFETIME:
            raise refuse("a key is good for 1s to 3660d", pointer)
        return self._now + lifetime

    def _add(
        self, owner: str, kind: str, public: bytes, private: bytes, purpose: str, expires: float, pointer: str
    ) -> Key:
        keyring, keys = self._keyring(), self._services.keys
        namesake = keys.find(owner)
        if namesake is not None and namesake.owner != owner:
            raise refuse("the keyring takes no such key", pointer)
        if sum(not _is_spent(key, self._now) for key in keys.of(owner)) >= self.options.keys_per_owner:
            raise refuse(f"{owner} has {self.options.keys_per_owner} keys, and no more are taken", pointer, 403)
        key = Key(
            kid=_new_kid(owner, self._now), owner=owner, kind=kind, public=public, private=private,
            purpose=purpose, created=self._now, not_before=0.0, expires=expires,
        )  # fmt: skip
        try:
            keyring.add(key, most=self.options.keys_per_owner)
        except ValueError as error:  # full, or the owner has the name of another's key
            refusal = refuse("the keyring takes no such key", pointer)
            refusal.private = str(error)
            raise refusal from None
        return key

    def _keyring(self) -> Keyring:
        keyring = self._services.keyring
        if keyring is None:
            raise refuse("this server has no keyring", status=403)
        return keyring


def judge_half(kind: str, raw: bytes) -> str | None:
    """Judge a private half; of Ed25519 the 32-byte seed, or libsodium's 64 bytes: the seed and the public half."""
    if kind == "ed25519" and len(raw) == 2 * SIZE:
        return judge_pair(kind, raw[SIZE:], raw[:SIZE])
    if kind == "ed25519" and len(raw) != SIZE:
        return f"has {len(raw)} bytes; a private key of kind ed25519 has 64, or 32: its seed"
    return judge_private(kind, raw)


def _is_spent(key: Key, now: float) -> bool:
    """Tell whether the keyring may let go of a key at any time, so that it takes no place."""
    return key.purpose == SEAL and not key.private and key.lapse(now) == "expired"


def written(seconds: float) -> str:
    """Return Unix seconds as RFC 3339 text."""
    return datetime.fromtimestamp(int(min(max(seconds, 0), _LAST)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(fault: str | None, pointer: str) -> None:
    if fault is not None:
        raise refuse(f"this key {fault}", pointer)


def _new_kid(owner: str, now: float) -> str:
    day = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
    return f"{owner}-{day}-{base64.b32encode(secrets.token_bytes(5)).decode().lower()[:6]}"
