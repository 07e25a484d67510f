"""Keys as components see them: those of the section `keys`, and those of the keyring, by one interface."""

from __future__ import annotations

import binascii
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from eventstream.errors import Problem

State = Literal["active", "retiring", "revoked"]
Lapse = Literal["revoked", "expired", "not_yet_valid"]
_STANDARD = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `owner` is who holds it: several keys of one owner may be good while it rotates.

    `kind` is `ed25519`, `curve25519`, `secret` (32 shared bytes), `hmac` (a signing secret of any length),
    `api-key`, or a plugin's own. A key of a pair may come without its private half; that of `ed25519` is
    its 32-byte seed. Never put `private` in an error or a log line; it is left out of the repr.
    """

    kid: str
    owner: str
    kind: str
    public: bytes = b""  # the public half of a pair; what identifies an API key
    private: bytes = field(default=b"", repr=False)  # the private half; the whole of a `secret` or `hmac`
    purpose: str = ""  # what it may be used for, by the component's own word; empty: for anything
    created: float = 0.0  # Unix seconds, like the two below
    not_before: float = 0.0
    expires: float = math.inf
    state: State = "active"

    def lapse(self, now: float) -> Lapse | None:
        """Say why this key counts for nothing now; None while it is good."""
        if self.state == "revoked":
            return "revoked"
        if now < self.not_before:
            return "not_yet_valid"
        return None if now < self.expires else "expired"

    def accepted(self, now: float) -> bool:
        """Tell whether what was made with this key still counts: to verify, to open."""
        return self.state != "revoked" and self.not_before <= now < self.expires

    def in_use(self, now: float) -> bool:
        """Tell whether new things are made with this key: to sign, to seal."""
        return self.state == "active" and self.accepted(now)


class Keys:
    """The keys that a configuration names. Ask at each use: keys change while the server runs."""

    def __init__(self, fixed: Iterable[Key] = ()) -> None:
        """Start with the keys of the section `keys`; each owner's newest first."""
        self._fixed = tuple(fixed)
        self._index = index_keys(self._fixed)

    @property
    def revision(self) -> int:
        """A number that changes whenever a key does: what was made of keys is good for so long."""
        return 0

    @property
    def open(self) -> bool:
        """Whether keys may come while the server runs: a name without a key is no fault yet."""
        return False

    def all(self) -> Sequence[Key]:
        """Return every key."""
        return self._fixed

    def of(self, name: str) -> Sequence[Key]:
        """Return the keys whose owner or id is `name`, newest first, whatever their state."""
        return self._index.get(name, ())

    def find(self, kid: str) -> Key | None:
        """Return the key with this id."""
        return next((key for key in self.of(kid) if key.kid == kid), None)

    def trouble(self, name: str, kinds: Collection[str], pointer: str = "") -> Problem | None:
        """Say what is wrong with naming `name` where a key of one of `kinds` is needed; None when nothing is."""
        found = self.of(name)
        if any(key.kind in kinds or not key.kind for key in found):  # without a kind: its fault is reported already
            return None
        needed = " or ".join(sorted(kinds))
        if found:
            return Problem(f"key {name} is of kind {found[0].kind}", pointer, f"{needed} is needed here")
        names = ", ".join(sorted({key.owner for key in self.all()})) or "none"
        if self.open:
            hint = f"eventstream keys new {min(kinds)} --owner {name}; there are keys of: {names}"
            return Problem(f"there is no key {name} yet", pointer, hint, severity="warning")
        return Problem(f"there is no key {name}", pointer, f"keys of this configuration: {names}")


def index_keys(keys: Iterable[Key]) -> dict[str, tuple[Key, ...]]:
    """Return the keys by owner and by id, in their order.

    Nobody's key is found by an id that is another owner's name: it would count as that owner's.
    """
    known = tuple(keys)
    owners = {key.owner for key in known}
    index: dict[str, list[Key]] = {}
    for key in known:
        index.setdefault(key.owner, []).append(key)
        if key.kid not in owners:
            index.setdefault(key.kid, []).append(key)
    return {name: tuple(found) for name, found in index.items()}


# How keys are written in the section `keys` and imported: notation -> what it becomes.
NOTATIONS = ("standard-webhooks", "ed25519", "curve25519", "secret", "hmac", "text", "api-key")


def is_public(notation: str, text: str) -> bool:
    """Tell whether a key written like this may be read by everybody."""
    return notation in ("ed25519", "curve25519", "api-key") or text.startswith("whpk_")


def parse_key(kid: str, owner: str, notation: str, text: str) -> Key:
    """Read a key's text; raises ValueError that never shows it.

    `standard-webhooks` is `whsec_…` (kind `hmac`) or `whpk_…` (kind `ed25519`); `text` is a secret
    taken as it stands (kind `hmac`), as GitHub's is; `api-key` is the SHA-256 of one in hex; all
    others are base64, standard or URL-safe. A notation of a plugin's own is kept as it stands.
    """
    text = text.strip()
    if notation == "standard-webhooks":
        return _webhook_key(kid, owner, text)
    if notation == "api-key":
        return Key(kid, owner, "api-key", public=_digest(text))
    if notation == "text" or notation not in NOTATIONS:
        return Key(kid, owner, "hmac" if notation == "text" else notation, private=text.encode())
    raw = decode_base64(text)
    if notation == "hmac":
        if len(raw) < 16:
            raise ValueError(f"a signing secret has at least 16 bytes, not {len(raw)}")
        return Key(kid, owner, "hmac", private=raw)
    if len(raw) != 32:
        raise ValueError(f"a key of kind {notation} has 32 bytes, not {len(raw)}")
    if notation == "secret":
        return Key(kid, owner, "secret", private=raw)
    return Key(kid, owner, notation, public=raw)


def decode_base64(text: str) -> bytes:
    """Decode base64, standard or URL-safe, with or without padding; raises ValueError that never shows it.

    Only the one text that encodes these bytes is taken: no stray bits, no half padding.
    """
    standard = text if text.endswith("=") else text + "=" * (-len(text) % 4)
    if "-" in text or "_" in text:
        standard = standard.translate(_STANDARD)
    try:
        raw: bytes = msgspec.convert(standard, bytes)  # a fifth of the time that binascii takes
    except msgspec.ValidationError:
        raise ValueError("this is not base64") from None
    if not standard.endswith(binascii.b2a_base64(raw[len(raw) - len(raw) % 3 :], newline=False).decode()):
        raise ValueError("this is not base64 as an encoder writes it: stray bits at its end")
    return raw


def _webhook_key(kid: str, owner: str, text: str) -> Key:
    prefix, _, encoded = text.partition("_")
    if prefix == "whsk":
        raise ValueError("this is a private key (whsk_): give its public half (whpk_) to those who verify")
    if prefix not in ("whsec", "whpk") or not encoded:
        raise ValueError("expected whsec_ or whpk_ and base64")
    raw = decode_base64(encoded)
    if prefix == "whsec" and not 24 <= len(raw) <= 64:
        raise ValueError(f"a secret (whsec_) has 24 to 64 bytes, not {len(raw)}")
    if prefix == "whpk" and len(raw) != 32:
        raise ValueError(f"an Ed25519 public key (whpk_) has 32 bytes, not {len(raw)}")
    return Key(kid, owner, "hmac", private=raw) if prefix == "whsec" else Key(kid, owner, "ed25519", public=raw)


def _digest(text: str) -> bytes:
    digest = text.removeprefix("sha256:")
    try:
        raw = bytes.fromhex(digest)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError("expected sha256: and 64 hexadecimal digits, as `eventstream keys new api-key` prints it")
    return raw
