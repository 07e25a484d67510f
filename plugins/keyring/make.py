"""Making new keys."""

import base64
import math
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from eventstream import Key
from eventstream_plugins.points import PAIRS, public_of

KINDS = ("ed25519", "curve25519", "secret", "hmac", "api-key")
API_KEY_SIZE = 32  # random bytes of an API key; 43 characters
_MAX_STEM = 100


@dataclass(frozen=True, slots=True)
class Made:
    """A new key. `token` is an API key's text: it is kept nowhere, so this is its only moment."""

    key: Key
    token: str = ""

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Made({self.key!r})"


def make_key(
    kind: str,
    owner: str,
    now: float,
    *,
    purpose: str = "",
    not_before: float = 0.0,
    expires: float = math.inf,
    kid: str | None = None,
) -> Made:
    """Make a key of one of KINDS; times are in Unix seconds."""
    kid = make_kid(owner, now) if kid is None else kid
    token = ""
    if kind == "api-key":
        token = f"esk_{kid}_{base64.urlsafe_b64encode(secrets.token_bytes(API_KEY_SIZE)).decode().rstrip('=')}"
        public, private = sha256(token.encode()).digest(), b""
    else:
        private = secrets.token_bytes(32)
        public = public_of(kind, private) if kind in PAIRS else b""
    key = Key(kid, owner, kind, public, private, purpose, now, not_before, expires)
    return Made(key, token)


def make_kid(owner: str, now: float) -> str:
    """Return a fresh id: the owner, the day, and 30 random bits."""
    stem = re.sub(r"[^A-Za-z0-9.:-]+", "-", owner)[:_MAX_STEM]
    chance = base64.b32encode(secrets.token_bytes(5)).decode().lower()[:6]
    return f"{stem}-{datetime.fromtimestamp(now, UTC):%Y%m%d}-{chance}"
