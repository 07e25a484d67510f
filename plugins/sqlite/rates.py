"""Rate buckets in a table that all processes map: exact across them, and held by nobody who died.

Each bucket is one number, the time at which it will be full again (GCRA, the leaky bucket as a meter):
a taker moves it ahead, and may do so as long as it stays within `burst` tokens of now. So a bucket that
is full says nothing, and its slot is free. Times are CLOCK_MONOTONIC in ns, which all processes share
until the next boot.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import threading
import time
from hashlib import blake2b
from pathlib import Path

from eventstream import Take

from .locks import open_lock

SLOTS = 65_536
_WINDOW = 8  # slots in which a bucket may stand
_SLOT = 32  # bytes: 16 of the key, 8 of the time, 8 to spare
_HEADER = 4096
_SIZE = _HEADER + SLOTS * _SLOT
_MAGIC = b"eventstream rates 1\n"
_COUNTER = 256  # where the header counts evictions

_key_and_time = struct.Struct("<16sq")
_time = struct.Struct("<q")
_times = struct.Struct("<" + "16xq8x" * _WINDOW)
_clock = time.monotonic_ns


class Rates:
    """The table `<path>.rates`.

    `take` runs on every publish, on the loop. It holds the file lock for some microseconds, in which it
    neither pauses nor makes a call that waits; the kernel frees the lock of a process that is killed.
    """

    def __init__(self, path: str) -> None:
        """Map the table; an absent, foreign or earlier boot's table starts empty."""
        self._file = open_lock(f"{path}.rates")
        self._threads = threading.Lock()  # the file lock is per open file: it does not part our own threads
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.posix_fallocate(self._file, 0, _SIZE)  # else a full disk would be a SIGBUS later
            self._table = mmap.mmap(self._file, _SIZE)
            self._start()
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except BaseException:
            os.close(self._file)
            raise

    def _start(self) -> None:
        mark = _MAGIC + Path("/proc/sys/kernel/random/boot_id").read_bytes()
        if self._table[: len(mark)] != mark:
            self._table[:] = bytes(_SIZE)
            self._table[: len(mark)] = mark

    def take(self, bucket: str, amount: int, rate: float, burst: int) -> Take:
        """Take tokens, or give back a negative amount; see `Ledger.take`."""
        key = blake2b(bucket.encode(), digest_size=16).digest()
        spent = math.floor(amount * 1e9 / rate)
        full = math.ceil(burst * 1e9 / rate)
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                now = _clock()
                at, then = self._find(key, now)
                after = max(then + spent, now)
                taken = after - now <= full or amount <= 0
                if taken and spent:
                    _key_and_time.pack_into(self._table, at, key, after)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        missing = (after if taken else then) - now  # ns until the bucket is full
        remaining = max(0.0, (full - missing) * rate / 1e9)
        if taken:
            return Take(True, remaining, 0.0, missing / 1e9)
        wait = (after - now - full) / 1e9 if amount <= burst else math.inf
        return Take(False, remaining, wait, missing / 1e9)

    def _find(self, key: bytes, now: int) -> tuple[int, int]:
        """Return a bucket's slot and time: its own, else a free slot, else that of the one nearest to full."""
        first = _HEADER + int.from_bytes(key[:4], "little") % (SLOTS - _WINDOW + 1) * _SLOT
        window = self._table[first : first + _WINDOW * _SLOT]
        found = window.find(key)
        while found >= 0 and found % _SLOT:
            found = window.find(key, found + 1)
        if found >= 0:
            at = first + found
            return at, max(now, _time.unpack_from(self._table, at + 16)[0])
        times = _times.unpack(window)
        nearest = min(times)
        if nearest > now:
            (evicted,) = _time.unpack_from(self._table, _COUNTER)
            _time.pack_into(self._table, _COUNTER, evicted + 1)
        return first + times.index(nearest) * _SLOT, now

    def evicted(self) -> int:
        """Return how many buckets lost their state to others, in all processes since boot."""
        (count,) = _time.unpack_from(self._table, _COUNTER)
        return int(count)

    def close(self) -> None:
        """Give back the map and the file; may be called more than once."""
        if self._file >= 0:
            self._table.close()
            os.close(self._file)
            self._file = -1
