"""Locks between processes: files held by `flock`, which the kernel gives back when their holder is killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Each call blocks its native thread, never the loop: all of this runs inside `services.offload`.


def open_lock(path: str) -> int:
    """Open a lock file (0600) and return its descriptor; closing it releases the lock."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int) -> bool:
    """Take the lock alone if nobody holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Wait until nobody else holds the lock file, and hold it."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Turnstile:
    """The right to write, given to each process in turn.

    A writer waits for `gate`, then, holding it, for `write`; whoever has just written has to queue at the
    gate again. SQLite's own lock polls, and lets one busy process starve another for seconds.
    """

    def __init__(self, path: str) -> None:
        """Open `<path>.gate` and `<path>.write`."""
        self.gate = open_lock(f"{path}.gate")
        try:
            self.write = open_lock(f"{path}.write")
        except BaseException:
            os.close(self.gate)
            raise

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the right to write. After an error close the turnstile: that gives everything back."""
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        fcntl.flock(self.write, fcntl.LOCK_EX)
        fcntl.flock(self.gate, fcntl.LOCK_UN)
        yield
        fcntl.flock(self.write, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give both locks back."""
        os.close(self.gate)
        os.close(self.write)
