"""Names in a certificate as proxies write them: distinguished names, and Envoy's X-Forwarded-Client-Cert.

Rules for editors: nothing is guessed at. What could be read in two ways is refused, since a proxy that adds
to a header instead of replacing it would let its client choose the reading.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

_TYPE = re.compile(r" *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)=")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_SPECIAL = frozenset(' "#+,;<=>\\')  # may stand behind a backslash (RFC 4514 section 3)
_ELEMENT = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))(;|\Z)')


class Named(NamedTuple):
    """What a header says of a certificate."""

    name: str
    fingerprint: str = ""  # SHA-256 of the certificate in hex
    expires: float = math.inf


def parse_dn(text: str) -> list[tuple[str, str]]:
    """Return the attributes of a distinguished name (RFC 4514) in its order; raises ValueError.

    Types are in upper case. `a+b` (several in one RDN) gives both.
    """
    attributes: list[tuple[str, str]] = []
    place = 0
    while True:
        match = _TYPE.match(text, place)
        if match is None:
            raise ValueError("not a distinguished name after RFC 4514")
        value, place = _value(text, match.end())
        attributes.append((match[1].upper(), value))
        if place == len(text):
            return attributes
        place += 1  # behind `,` or `+`


def _value(text: str, place: int) -> tuple[str, int]:
    """Return a value and the place of what ends it."""
    while text.startswith(" ", place):
        place += 1
    if text.startswith("#", place):
        raise ValueError("a value in hexadecimal")
    octets = bytearray()
    kept = 0  # a trailing space counts only when it is escaped
    while place < len(text) and text[place] not in ",+":
        character = text[place]
        if character in '"<>;\0':
            raise ValueError(f"{character!r} stands in a value unescaped")
        if character == "\\":
            octet, place = _escaped(text, place + 1)
        else:
            octet, place = character.encode("latin-1"), place + 1  # a header's octets, UTF-8 where not ASCII
        octets += octet
        if character != " ":
            kept = len(octets)
    try:
        return octets[:kept].decode(), place
    except UnicodeDecodeError:
        raise ValueError("a value is not UTF-8") from None


def _escaped(text: str, place: int) -> tuple[bytes, int]:
    character = text[place : place + 1]
    if character in _SPECIAL:
        return character.encode(), place + 1
    match = _HEX.match(text, place)
    if match is None:
        raise ValueError("a backslash escapes nothing")
    return bytes.fromhex(match[0]), place + 2


def common_name(attributes: Sequence[tuple[str, str]]) -> str:
    """Return the one CN; raises ValueError when there is none, or more than one."""
    found = [value for name, value in attributes if name in ("CN", "2.5.4.3")]
    if len(found) != 1:
        raise ValueError(f"{len(found) or 'no'} CN in the name, one is needed")
    return found[0]


def parse_xfcc(text: str) -> dict[str, list[str]]:
    """Return the fields of an X-Forwarded-Client-Cert with one element, by lower-case name; raises ValueError."""
    fields: dict[str, list[str]] = {}
    place = 0
    while place < len(text):
        match = _ELEMENT.match(text, place)
        if match is None:
            raise ValueError("not one element of X-Forwarded-Client-Cert")
        value = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        fields.setdefault(match[1].lower(), []).append(value)
        place = match.end()
    return fields
