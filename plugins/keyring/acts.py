"""What the command does with a keyring, whichever it is."""

import difflib
import math
from collections.abc import Iterable
from typing import NamedTuple

from eventstream import EventStreamError, Key, Keyring
from eventstream_plugins.points import PAIRS

from .make import Made, make_key, make_kid
from .texts import Material

OVERLAP = 86400.0  # seconds for which a rotated key still counts
AT_REST = "at-rest"


class Terms(NamedTuple):
    """A new key's circumstances; times in Unix seconds, None for always or never."""

    owner: str
    now: float
    purpose: str = ""
    not_before: float | None = None
    expires: float | None = None
    kid: str | None = None


def find(keys: Iterable[Key], kid: str) -> Key:
    """Return a key by its id; raises EventStreamError with the nearest one."""
    known = {key.kid: key for key in keys}
    if kid not in known:
        near = difflib.get_close_matches(kid, known, n=1) or [key.kid for key in known.values() if key.owner == kid]
        hint = f": did you mean {near[0]}?" if near else ""
        raise EventStreamError(f"there is no key {kid}{hint}")
    return known[kid]


def new(keyring: Keyring, kind: str, terms: Terms) -> Made:
    """Make a key and keep it."""
    made = make_key(
        kind, terms.owner, terms.now, purpose=terms.purpose, not_before=terms.not_before or 0.0,
        expires=_end(terms), kid=terms.kid,
    )  # fmt: skip
    keyring.add(made.key)
    return made


def take_in(keyring: Keyring, material: Material, terms: Terms) -> Key:
    """Keep a key that was made elsewhere; its id is the one asked for, its own, or a new one."""
    kid = terms.kid or material.kid or make_kid(terms.owner, terms.now)
    key = Key(
        kid, terms.owner, material.kind, material.public, material.private, terms.purpose, terms.now,
        terms.not_before or 0.0, _end(terms),
    )  # fmt: skip
    keyring.add(key)
    return key


def _end(terms: Terms) -> float:
    return math.inf if terms.expires is None else terms.expires


def rotate(
    keyring: Keyring, owner: str, now: float, kind: str | None, purpose: str | None, overlap: float | None
) -> tuple[list[Made], list[Key]]:
    """Make a key for each kind and purpose of an owner's active keys, and let those retire; return new and old.

    The new key comes first: at no moment is there none. What is sealed at rest must open for ever, so keys
    of that purpose retire without an end unless an overlap is given.
    """
    known = keyring.keys()
    groups: dict[tuple[str, str], list[Key]] = {}
    for key in known:
        wanted = key.owner == owner and kind in (None, key.kind) and purpose in (None, key.purpose)
        if wanted and key.in_use(now):
            groups.setdefault((key.kind, key.purpose), []).append(key)
    if not groups:
        raise EventStreamError(f"{owner} has no active key to rotate")
    _judge(groups)
    made = [new(keyring, keys[0].kind, _terms_like(keys[0], now)) for keys in groups.values()]
    old = [key for keys in groups.values() for key in keys]
    return made, [keyring.change(key.kid, state="retiring", expires=_retires(key, now, overlap)) for key in old]


def _retires(key: Key, now: float, overlap: float | None) -> float:
    if overlap is None and key.purpose == AT_REST:
        return key.expires
    return min(key.expires, now + (OVERLAP if overlap is None else overlap))


def _judge(groups: dict[tuple[str, str], list[Key]]) -> None:
    for (kind, _), keys in groups.items():
        if kind in PAIRS and not keys[0].private:
            problem = f"{keys[0].kid} was imported without its private half"
            raise EventStreamError(f"{problem}: its owner makes the next one, and you import its public half")


def _terms_like(key: Key, now: float) -> Terms:
    """Return the terms of a key's successor, which lives as long as it was given."""
    lifetime = key.expires - max(key.created, key.not_before)
    return Terms(key.owner, now, key.purpose, None, None if math.isinf(lifetime) else now + lifetime)
