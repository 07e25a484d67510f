"""Chunked transfer coding (RFC 9112, section 7.1), the writing side."""

from __future__ import annotations

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Wrap some bytes, at least one: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
