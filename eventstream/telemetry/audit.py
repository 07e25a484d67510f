"""The audit log: one line for each thing that somebody did, or was refused, at a bounded rate.

It never holds an event's data, a secret, or a credential's text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

MAX_TEXT = 500  # characters of one fact


class Who(Protocol):
    """The part of an identity that is written."""

    @property
    def name(self) -> str:
        """Whose name."""

    @property
    def by(self) -> str:
        """What knows them by it."""


def _short(fact: object) -> object:
    """Cut a text that a stranger chose the length of."""
    return f"{fact[:MAX_TEXT]}…" if isinstance(fact, str) and len(fact) > MAX_TEXT else fact


class Audit:
    """Writes lines, at most `rate` a second of each kind; those held back are counted and told."""

    def __init__(self, log: Any, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `log`, the logger `audit`; each kind has a bucket of one second's lines, at least one."""
        self._log = log
        self._rate = rate
        self._burst = max(1.0, rate)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # kind -> lines left, and when that was
        self._held_back: dict[str, int] = {}

    def note(self, what: str, who: Who | None, **facts: object) -> None:
        """Write one line, unless it is one too many. `what` is one of a few words; `who` is None for nobody known."""
        if self.wants(what):
            self.write(what, who, **facts)

    def write(self, what: str, who: Who | None, **facts: object) -> None:
        """Write one line that was wanted."""
        known = {"identity": who.name, "by": who.by} if who is not None else {"identity": None}
        self._log.info(what, **known, **{name: _short(fact) for name, fact in facts.items()})

    def wants(self, what: str) -> bool:
        """Take leave to write one line of a kind; it is counted when there is none."""
        now = self._clock()
        with self._lock:
            left, then = self._buckets.get(what, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._rate)
            passes = left >= 1
            self._buckets[what] = (left - 1 if passes else left, now)
            if not passes:
                self._held_back[what] = self._held_back.get(what, 0) + 1
        return passes

    def flush(self) -> None:
        """Tell how many lines of each kind were held back since the last time."""
        with self._lock:
            held_back, self._held_back = self._held_back, {}
        for what, lines in held_back.items():
            self._log.info("held_back", of=what, lines=lines)
