"""Tickets and sessions as the ledger keeps them: under the SHA-256 of their text, with whom they stand for."""

import hashlib
import math
import re
import secrets
from typing import Any, NamedTuple

from eventstream import Grant, Identity, Ledger, decode_json, encode_json, pack_grants, unpack_grants

COOKIE = "eventstream-session"
MAX_RECORD = 4096  # bytes; the ledger's bound
_TEXT = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SEPARATOR = re.compile(r"[;,]")  # a header that came twice is joined by a comma


class Record(NamedTuple):
    """What one ticket or session stands for."""

    identity: Identity
    until: float  # Unix seconds: from then on it opens nothing
    family: str  # credential of a session and of all that renew it; of a ticket, its own


def new_text() -> str:
    """Return a new ticket: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_text(text: str) -> bool:
    """Tell whether this could be a ticket at all."""
    return _TEXT.match(text) is not None


def digest(text: str) -> str:
    """Return what a ticket is known by; it cannot be turned back."""
    return hashlib.sha256(text.encode()).hexdigest()


def keep(ledger: Ledger, kind: str, text: str, record: Record, now: float) -> None:
    """Keep a record until it is over; raises ValueError when it is too long, StoreBusy."""
    who = record.identity
    value: list[Any] = [
        who.name,
        list(who.credentials),
        None if who.expires == math.inf else who.expires,
        pack_grants(who.grants or ()),
        record.until,
        record.family,
    ]
    packed = encode_json(value)
    if len(packed) > MAX_RECORD:
        raise ValueError(f"{len(packed)} bytes, {MAX_RECORD} are the bound")
    ledger.put(f"{kind}/{digest(text)}", packed, record.until - now)


def find(ledger: Ledger, kind: str, text: str, now: float) -> Record | None:
    """Return the record of a ticket or session that is not over; raises StoreBusy."""
    packed = ledger.get(f"{kind}/{digest(text)}") if is_text(text) else None
    if packed is None:
        return None
    name, credentials, expires, grants, until, family = decode_json(packed)
    if until <= now:
        return None
    scope: tuple[Grant, ...] = unpack_grants(grants)
    identity = Identity(name, "ticket", tuple(credentials), math.inf if expires is None else expires, scope)
    return Record(identity, until, family)


def sessions(cookie: str) -> list[str]:
    """Return the session texts of a Cookie header."""
    pairs = (part.strip().partition("=") for part in _SEPARATOR.split(cookie))
    return [value for name, _, value in pairs if name == COOKIE]
