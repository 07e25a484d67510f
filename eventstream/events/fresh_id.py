"""Ids for events that come without one."""

from __future__ import annotations

import os

_AT_ONCE = 64
_BYTES = 16
_ready: list[str] = []
os.register_at_fork(after_in_child=_ready.clear)  # two workers must not give the same ids


def fresh_id() -> str:
    """Return 32 random hexadecimal digits. One system call serves 64 events."""
    try:
        return _ready.pop()
    except IndexError:
        text = os.urandom(_BYTES * _AT_ONCE).hex()
        _ready.extend(text[at : at + 2 * _BYTES] for at in range(2 * _BYTES, len(text), 2 * _BYTES))
        return text[: 2 * _BYTES]
