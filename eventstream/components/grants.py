"""Grants as a credential carries them: `{"publish": ["shop.*"], "subscribe": true, "crypto": true}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventstream.components.identity import Grant, Right
from eventstream.errors import FilterError
from eventstream.events import strict_json
from eventstream.events.filter import EVERYTHING, Filter

MAX_SCOPES = 100  # alternatives of one right
_SCOPED: tuple[Right, ...] = ("publish", "subscribe")
_ATTRIBUTES = frozenset({"type", "source", "subject"})


def parse_grants(value: Any) -> tuple[Grant, ...]:
    """Read a credential's grants; raises ValueError for anything that is not understood in full.

    `admin` is none of them: that right is given by the configuration alone.
    """
    if not isinstance(value, dict):
        raise ValueError("grants are an object")  # noqa: TRY004  # the documented error
    unknown = value.keys() - {*_SCOPED, "crypto"}
    if unknown:
        raise ValueError(f"a credential cannot grant {min(unknown)[:64]!r}")
    grants = [Grant(right, scope) for right in _SCOPED for scope in parse_scopes(value.get(right, False))]
    crypto = value.get("crypto", False)
    if not isinstance(crypto, bool):
        raise ValueError("crypto is true or false")  # noqa: TRY004  # the documented error
    return (*grants, Grant("crypto")) if crypto else tuple(grants)


def parse_scopes(value: Any) -> tuple[Filter, ...]:
    """Read what a right covers: true, false, or a list of alternatives; raises ValueError.

    An alternative is a pattern of types (`"shop.*"`), or an object of patterns by attribute
    (`{"type": "shop.*", "source": ["/till/1", "/till/2"]}`), all of which hold.
    """
    if isinstance(value, bool):
        return (EVERYTHING,) if value else ()
    if not isinstance(value, list):
        raise ValueError("a scope is true, false or a list of patterns")  # noqa: TRY004  # the documented error
    if len(value) > MAX_SCOPES:
        raise ValueError(f"more than {MAX_SCOPES} alternatives in one scope")
    return tuple(_scope(one) for one in value)


def _scope(value: Any) -> Filter:
    patterns = {"type": value} if isinstance(value, str) else value
    if not isinstance(patterns, dict) or not patterns or patterns.keys() - _ATTRIBUTES:
        raise ValueError("a pattern is text, or an object with type, source or subject")
    try:
        return Filter({name: _texts(texts) for name, texts in patterns.items()})
    except FilterError as error:
        raise ValueError(str(error)) from None


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("an attribute takes a pattern or a list of patterns")
    return texts


def pack_grants(grants: Iterable[Grant]) -> list[Any]:
    """Return grants as plain JSON values, to be kept and read by `unpack_grants`."""
    return [[grant.right, strict_json.decode(grant.scope.key.encode())] for grant in grants]


def unpack_grants(values: Iterable[Any]) -> tuple[Grant, ...]:
    """Return what `pack_grants` made into values."""
    return tuple(Grant(right, Filter(patterns, expressions)) for right, (patterns, expressions) in values)
