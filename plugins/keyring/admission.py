"""What a key must be to be let into a keyring."""

import base64
import math
import re
from collections.abc import Iterable

from eventstream import Key
from eventstream_plugins.points import PAIRS, judge_pair, judge_private, judge_public

from .document import Entry

MAX_HALF = 2048  # bytes of a half of a kind that we do not know

_KID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_OWNER = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?\Z")
_WORD = re.compile(r"[a-z0-9-]{1,32}\Z")


def admit(key: Key, entries: Iterable[Entry]) -> None:
    """Raise ValueError, which never shows the key, unless it may join these entries."""
    fault = _judge_words(key) or _judge_times(key) or _judge_halves(key) or _judge_names(key, entries)
    if fault is not None:
        raise ValueError(fault)


def _judge_words(key: Key) -> str | None:
    if not _KID.match(key.kid):
        return f"{key.kid!r} is no key id: 1 to 128 letters, digits, and . _ : -"
    if not _OWNER.match(key.owner):
        return f"{key.owner!r} is no owner: 1 to 128 visible ASCII characters, spaces only inside"
    if not _WORD.match(key.kind) or (key.purpose and not _WORD.match(key.purpose)):
        return "kind and purpose are 1 to 32 small letters, digits and -"
    return None


def _judge_times(key: Key) -> str | None:
    if not (math.isfinite(key.created) and math.isfinite(key.not_before)) or math.isnan(key.expires):
        return "created and not_before are times, expires a time or never"
    return None if key.not_before < key.expires else "the key would expire before it becomes valid"


def _judge_halves(key: Key) -> str | None:
    fault = None
    if key.kind in PAIRS:
        fault = judge_pair(key.kind, key.public, key.private) if key.private else judge_public(key.kind, key.public)
    elif key.kind in ("secret", "hmac"):
        fault = "has a public half, which its kind has not" if key.public else judge_private(key.kind, key.private)
    elif key.kind == "api-key":
        fault = None if len(key.public) == 32 and not key.private else "is not the SHA-256 of an API key"
    elif not 0 < len(key.public) + len(key.private) <= MAX_HALF:
        fault = f"is empty, or longer than {MAX_HALF} bytes"
    return f"this key {fault}" if fault is not None else None


def _judge_names(key: Key, entries: Iterable[Entry]) -> str | None:
    """Ids and owners are asked for by one name: none may stand for somebody else's key. Nor may a key come back."""
    public = base64.b64encode(key.public).decode()
    for entry in entries:
        if public and (entry.kind, entry.public) == (key.kind, public):
            return f"this key is here already, as {entry.kid} of {entry.owner} ({entry.state})"
        if entry.kid == key.kid:
            return f"there is a key {key.kid} already"
        if entry.owner != key.owner and key.kid == entry.owner:
            return f"{key.kid} is the name of another owner, so it cannot be a key's id"
        if entry.owner != key.owner and entry.kid == key.owner:
            return f"{key.owner} is the id of another owner's key, so it cannot be an owner"
    return None
