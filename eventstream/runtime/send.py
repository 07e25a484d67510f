"""The same bytes to many sockets, the innermost loop of fan-out: compiled (`_send.c`), or the same in Python."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable

try:
    from eventstream.runtime import _send
except ImportError:  # not compiled
    _send = None  # type: ignore[assignment]  # what Python can do serves


def send_each_pure(fds: array[int], data: bytes) -> list[tuple[int, int]]:
    """Write `data` once to each of these descriptors of non-blocking sockets.

    Returns `(index, bytes sent)` of those that did not take all of it; of a broken one, `-errno` for the bytes.
    They must stay open until it returns: the compiled one lets other native threads run meanwhile.
    """
    short = []
    for index, fd in enumerate(fds):
        try:
            sent = os.write(fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            sent = -(error.errno or 1)
        if sent != len(data):
            short.append((index, sent))
    return short


COMPILED = _send is not None and os.environ.get("EVENTSTREAM_PURE") != "1"
send_each: Callable[[array[int], bytes], list[tuple[int, int]]] = _send.send_each if COMPILED else send_each_pure
