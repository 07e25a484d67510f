"""Waiting on a condition, never on the clock alone."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {getattr(condition, '__name__', condition)}")
        time.sleep(0.002)


class Clock:
    """A clock that stands until it is moved; call it for the time."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        """Start at Unix seconds `now`."""
        self.now = now

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds
