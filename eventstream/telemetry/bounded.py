"""Lines that a stranger can cause, at a bounded rate: bad signatures, refused origins, floods."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

WINDOW = 60.0  # seconds
BURST = 10  # lines of one kind in a window
MAX_KINDS = 100


class Bounded:
    """Passes at most `burst` lines of a kind in a minute, then counts; the count is told when the minute is over."""

    def __init__(self, log: Any, *, burst: int = BURST, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `log`, a logger of `get_logger`."""
        self._log = log
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], list[float]] = {}  # kind -> [begin, lines in it]

    def note(self, event: str, reason: str, *, level: int = logging.WARNING, **facts: Any) -> None:
        """Log a line, or hold it back. `event` and `reason` are its kind: words of a bounded set."""
        self.flush()
        if self._passes((event, reason)):
            self._log.log(level, event, reason=reason, **facts)

    def _passes(self, kind: tuple[str, str]) -> bool:
        with self._lock:
            if kind not in self._windows and len(self._windows) >= MAX_KINDS:
                return False
            window = self._windows.setdefault(kind, [self._clock(), 0])
            window[1] += 1
            return window[1] <= self._burst

    def flush(self) -> None:
        """Tell how many lines were held back in every minute that is over; call it once in a while."""
        now = self._clock()
        with self._lock:
            over = [(kind, window) for kind, window in self._windows.items() if now - window[0] >= WINDOW]
            for kind, _ in over:
                del self._windows[kind]
        for (event, reason), (_, lines) in over:
            if lines > self._burst:
                self._log.warning("held_back", of=event, reason=reason, lines=int(lines) - self._burst)
