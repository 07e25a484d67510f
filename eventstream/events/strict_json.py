"""JSON as RFC 8259 and RFC 7493 (I-JSON) mean it: what a lenient parser would guess at is refused.

Refused, each with its own words: duplicate keys, NaN and Infinity, numbers beyond a double, lone
surrogates, invalid UTF-8, a byte order mark, and nesting deeper than `max_depth`.

There are two readers. The quick one runs at the speed of C and proves of nearly every text that nothing in
it is refused; the exact one looks at each key and number, and says what is wrong with the others.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn, TypeVar

import msgspec

MAX_DEPTH = 64
DOUBLE_DIGITS = 308  # a whole number of fewer digits fits a double
_DIGITS = b"0123456789"
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (DOUBLE_DIGITS + 1))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_encoder = msgspec.json.Encoder()
T = TypeVar("T")
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
    value = _decode_quickly(body, max_depth)
    return _decode_exactly(body, max_depth) if value is _UNSURE else value


_UNSURE = object()
_quick_decoder = msgspec.json.Decoder()


def _decode_quickly(body: bytes, max_depth: int) -> Any:
    """Return the text's value, or _UNSURE when it may be one that is refused."""
    try:
        value = _quick_decoder.decode(body)
    except (ValueError, RecursionError):  # msgspec's own errors and those of UTF-8 among them
        return _UNSURE
    return value if is_plain(body, value, [value], max_depth) else _UNSURE


def decode_as(shape: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """Return the text's value when it has this shape, not yet judged by `is_plain`."""
    try:
        return shape.decode(body)
    except (ValueError, RecursionError):
        return None


def is_plain(body: bytes, value: Any, nested: list[Any], max_depth: int) -> bool:
    """Tell whether it is sure that `value`, read from `body`, was read as every reader would read it.

    `nested` has the parts that may hold arrays and objects, with at most `max_depth` levels of them.
    """
    try:
        written = _encoder.encode(value)
    except (ValueError, RecursionError):
        return False
    # A key that stands twice is read once. Each key has one colon, so that one is missing when what was read
    # is written again; only an escaped colon could make up for it.
    if written != body and (written.count(b":") != body.count(b":") or b"\\u003" in body):
        return False
    return not _is_deeper(nested, max_depth) and not _has_long_number(body)


def _is_deeper(values: list[Any], max_depth: int) -> bool:
    level = [value for value in values if type(value) is dict or type(value) is list]
    for _ in range(max_depth):
        if not level:
            break
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    return bool(level) or max_depth < 0


def _has_long_number(body: bytes) -> bool:
    """Tell whether so many digits follow each other that a whole number of them may not fit a double.

    Every such row covers a multiple of DOUBLE_DIGITS.
    """
    for at in range(DOUBLE_DIGITS, len(body), DOUBLE_DIGITS):
        if body[at] in _DIGITS and _LONG_NUMBER.search(body, at - DOUBLE_DIGITS, at + DOUBLE_DIGITS + 1):
            return True
    return False


def _decode_exactly(body: bytes, max_depth: int) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"invalid UTF-8 at byte {error.start}") from None
    _check_depth(text, max_depth)  # before the parser, which recurses
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
