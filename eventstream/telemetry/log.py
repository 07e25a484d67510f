"""Structured logs: JSON for machines, colours for a terminal; one event name and its facts per line."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import structlog

LogFormat = Literal["auto", "json", "console"]


def get_logger(room: str) -> Any:
    """Return a logger whose lines carry `logger=room`."""
    return structlog.stdlib.get_logger(f"eventstream.{room}")


def configure(
    *, level: str = "info", format: LogFormat = "auto", file: str | None = None, max_size: int = 0, keep: int = 5
) -> None:
    """Set up logging for this process; the standard library's loggers (gunicorn's) take the same way.

    With `file`, lines go there and it is rotated at `max_size` bytes, `keep` old ones staying.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    console = format == "console" or (format == "auto" and file is None and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    handler: logging.Handler = logging.StreamHandler()
    if file is not None:
        # Rotating by rename is safe between processes only when each notices: see WatchedRotation.
        handler = WatchedRotation(file, maxBytes=max_size, backupCount=keep)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class WatchedRotation(logging.handlers.RotatingFileHandler):
    """A rotating file shared by all workers: whoever finds it renamed opens the new one.

    Two workers that find it full at once would each rename; the second looks again first.
    """

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802  # the base class's name
        """Follow the file when another worker rotated it; else judge its size."""
        if self._renamed() and self.stream is not None:
            self.stream.close()
            self.stream = self._open()
        return bool(super().shouldRollover(record))

    def _renamed(self) -> bool:
        try:
            found = Path(self.baseFilename).stat()
            ours = os.fstat(self.stream.fileno())
        except (OSError, ValueError, AttributeError):
            return True
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)


class Bounded:
    """Passes at most `burst` lines per key and minute, then one that counts the rest.

    For lines that a stranger can cause: bad signatures, refused origins, floods.
    """

    def __init__(self, burst: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `burst` lines per key and minute; at most 1,000 keys are told apart."""
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, list[float]] = {}  # key -> [window's begin, lines in it]

    def allow(self, key: str) -> int | None:
        """Return how many lines of this key were held back before this one, or None to hold it back."""
        now = self._clock()
        with self._lock:
            if len(self._seen) > 1000:
                self._seen.clear()
            window = self._seen.setdefault(key, [now, 0.0])
            held = 0
            if now - window[0] >= 60:
                held = max(0, int(window[1]) - self._burst)
                window[:] = [now, 0.0]
            window[1] += 1
            return held if window[1] <= self._burst else None
