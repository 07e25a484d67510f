"""Server-Sent Events (WHATWG HTML, section 9.2), the writing side."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")
_UNSAFE = re.compile(r"[\r\n\0]")
_RESERVED_NAMES = frozenset({"message", "open", "error", "cursor", "gap", "goodbye"})  # ours, or EventSource's own

COMMENT = b":\n"  # a sign of life; with a blank line, two clients would take it for an event without data


def field_value(text: str) -> bytes:
    """Return text for a one-line field: CR, LF and NUL would end the field or void the id."""
    return (text if text.isprintable() else _UNSAFE.sub("", text)).encode()


def frame(data: bytes, *, id: str = "", event: str = "") -> bytes:
    """Write one event block; every line end inside `data` becomes a further `data:` line.

    The id comes last: some clients keep it as soon as they have read its line, so that a stream cut
    behind it, amid the data, would cost them the event.
    """
    head = b"event: " + field_value(event) + b"\n" if event else b""
    tail = b"\nid: " + field_value(id) + b"\n\n" if id else b"\n\n"
    if b"\n" in data or b"\r" in data:
        data = _LINE_END.sub(b"\ndata: ", data)
    return head + b"data: " + data + tail


def retry(seconds: float) -> bytes:
    """Write the time after which a client reconnects, as a line of the block that follows, if one does.

    A block of its own would be an event without data to some clients; the field counts without one.
    """
    return b"retry: %d\n" % round(seconds * 1000)


def event_name(type: str) -> str:
    """Return the `event:` name for an event type, or nothing where a name is not to be used."""
    return "" if type in _RESERVED_NAMES else type
