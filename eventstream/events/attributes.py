"""The rules of CloudEvents 1.0.2 section 3 for context attributes, each with words for the sender."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from eventstream.events.event import ATTRIBUTE_NAME, RESERVED_NAMES, RESERVED_TYPE_PREFIX

# Type system, section 3.1: no control characters, surrogates or noncharacters in a String.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+ *(?:;.*)?\Z")
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}):(\d{2})(?:\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)
_INT32 = 2**31

# The place of an event travels under this name over WebSocket; a producer must not claim it.
SERVER_ATTRIBUTES = frozenset({"cursor"})


def fault_in_string(value: Any) -> str | None:
    """Say what is wrong with a String attribute, or return None."""
    if not isinstance(value, str):
        return f"must be a string, not {json_type(value)}"
    if not value:
        return "must not be empty"
    return _fault_in_characters(value)


def _fault_in_characters(value: str) -> str | None:
    if value.isprintable():  # quick: none of the forbidden ones is
        return None
    bad = _FORBIDDEN.search(value)
    return f"must not hold U+{ord(bad[0]):04X}" if bad else None


def _fault_in_source(value: Any) -> str | None:
    fault = fault_in_string(value)
    if fault is None and not _URI_REFERENCE.match(value):
        fault = "must be a URI reference (RFC 3986)"
    return fault


def _fault_in_type(value: Any) -> str | None:
    fault = fault_in_string(value)
    if fault is None and value.startswith(RESERVED_TYPE_PREFIX):
        fault = f"must not start with {RESERVED_TYPE_PREFIX!r}, which is this server's own"
    return fault


def _fault_in_dataschema(value: Any) -> str | None:
    fault = _fault_in_source(value)
    if fault is None and not _ABSOLUTE_URI.match(value):
        fault = "must be an absolute URI"
    return fault


def _fault_in_datacontenttype(value: Any) -> str | None:
    fault = fault_in_string(value)
    if fault is None and not _MEDIA_TYPE.match(value):
        fault = "must be a media type such as application/json (RFC 2046)"
    return fault


def _fault_in_time(value: Any) -> str | None:
    fault = fault_in_string(value)
    if fault is None and not is_timestamp(value):
        fault = "must be an RFC 3339 timestamp such as 2026-01-31T12:00:00Z"
    return fault


_RULES: dict[str, Callable[[Any], str | None]] = {
    "id": fault_in_string,
    "source": _fault_in_source,
    "type": _fault_in_type,
    "time": _fault_in_time,
    "subject": fault_in_string,
    "datacontenttype": _fault_in_datacontenttype,
    "dataschema": _fault_in_dataschema,
}


def fault_in(name: str, value: Any) -> str | None:
    """Say what is wrong with one attribute, or return None. `value` is as parsed from JSON."""
    rule = _RULES.get(name)
    return rule(value) if rule is not None else _fault_in_extension(name, value)


def _fault_in_extension(name: str, value: Any) -> str | None:
    if not ATTRIBUTE_NAME.match(name) or name in RESERVED_NAMES:
        return "is no attribute name: 1 to 64 lower-case letters and digits"
    if name in SERVER_ATTRIBUTES:
        return "is set by this server only"
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -_INT32 <= value < _INT32 else "must fit a 32-bit integer"
    if isinstance(value, str):
        return _fault_in_characters(value)
    return f"must be a string, an integer or a boolean, not {json_type(value)}"


def is_timestamp(text: str) -> bool:
    """Tell whether `text` is an RFC 3339 timestamp of a real moment (a leap second counts)."""
    match = _TIMESTAMP.match(text)
    if match is None:
        return False
    seconds = "59" if match[3] == "60" else match[3]
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}:{seconds}")
    except ValueError:
        return False
    return True


def timestamp(seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, to the millisecond."""
    second, microseconds = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(second)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def json_type(value: Any) -> str:
    """Return the JSON name of a parsed value's type, for error texts."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
