"""JSON as RFC 8259 and RFC 7493 (I-JSON) mean it: what a lenient parser would guess at is refused.

Refused, each with its own words: duplicate keys, NaN and Infinity, numbers beyond a double, lone
surrogates, invalid UTF-8, a byte order mark, and nesting deeper than `max_depth`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import msgspec

MAX_DEPTH = 64
DOUBLE_DIGITS = 308  # a whole number of fewer digits fits a double
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_encoder = msgspec.json.Encoder()
_sorted_encoder = msgspec.json.Encoder(order="sorted")


class JsonError(ValueError):
    """A body is not JSON that every reader would understand alike."""


def encode(value: Any) -> bytes:
    """Return compact JSON; keys in the mapping's own order."""
    return _encoder.encode(value)


def canonical(value: Any) -> bytes:
    """Return compact JSON with sorted keys: equal values give equal bytes."""
    return _sorted_encoder.encode(value)


def decode(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a JSON text; raises JsonError that says what and where."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"invalid UTF-8 at byte {error.start}") from None
    # The C scanner recurses: bound the depth before it runs. A text with fewer brackets than
    # max_depth cannot nest deeper, and only one with more pays for the exact count.
    if body.count(b"[") + body.count(b"{") > max_depth:
        _check_depth(text, max_depth)
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg.removesuffix(' at')} at line {error.lineno} column {error.colno}") from None
    if _SURROGATE_ESCAPE.search(body):
        _check_surrogates(value)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"duplicate key {key!r}")
            seen.add(key)
    return mapping


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonError(f"number {text[:32]} is out of range")
    return number


def _int(text: str) -> int:
    if len(text) > DOUBLE_DIGITS:
        _float(text)
    return int(text)


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_constant)
# The closing quote is optional: a string that never ends must not be tried again from each quote inside it.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        kind = token[0][0]
        if kind in "[{":
            depth += 1
            if depth > max_depth:
                raise JsonError(f"nested deeper than {max_depth} levels at character {token.start()}")
        elif kind != '"':
            depth -= 1


def _check_surrogates(value: Any) -> None:
    try:
        encode(value)
    except (UnicodeEncodeError, ValueError):
        raise JsonError("a string holds a lone surrogate, which is no character") from None
