"""An event's one canonical form: what a signature that travels inside the event is made over."""

from __future__ import annotations

from typing import Any

import rfc8785

from eventstream.events import strict_json
from eventstream.events.codec import SIGNATURE, SIGNATURE_KEY, to_mapping
from eventstream.events.event import Event

MAX_SAFE_INTEGER = 2**53 - 1


def canonical_event(event: Event) -> bytes:
    """Return the event's JSON form without its signature, canonical by RFC 8785 (JCS).

    Raises JsonError for numbers that not every reader holds alike: integers beyond 2^53 - 1.
    """
    fields = to_mapping(event)
    fields.pop(SIGNATURE, None)
    fields.pop(SIGNATURE_KEY, None)
    if _is_simple(fields):
        return strict_json.canonical(fields)
    try:
        return rfc8785.dumps(fields)
    except rfc8785.CanonicalizationError as error:
        raise strict_json.JsonError(f"this has no canonical JSON: {error}") from None


def _is_simple(value: Any) -> bool:
    """Tell whether sorted compact JSON is canonical already: no unusual fractions, no keys outside ASCII.

    Canonical JSON writes 1.0 as 1 and has its own bounds for exponents, and sorts keys by UTF-16 code units.
    """
    if type(value) is str or value is None or type(value) is bool:
        return True
    if type(value) is dict:
        return all(key.isascii() and _is_simple(one) for key, one in value.items())
    if type(value) is list:
        return all(map(_is_simple, value))
    if type(value) is int:
        return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
    return type(value) is float and 1e-3 <= abs(value) < 1e9 and not value.is_integer()
