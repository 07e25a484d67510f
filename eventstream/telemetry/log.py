"""Structured logs: JSON for machines, colours for a terminal; one event name and its facts per line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal

import structlog

from eventstream.errors import ConfigError, Problem
from eventstream.telemetry.rotation import SharedFile

LogFormat = Literal["auto", "json", "console"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that this greenlet or thread serves; its lines carry it."""


def get_logger(room: str) -> Any:
    """Return a logger whose lines carry `logger=eventstream.<room>`."""
    return structlog.stdlib.get_logger(f"eventstream.{room}")


def configure(
    *, level: str = "info", format: LogFormat = "auto", file: str | None = None, max_size: int = 0, keep: int = 5
) -> None:
    """Set up logging for this process; the standard library's loggers (gunicorn's) take the same way.

    With `file`, lines go there and it is rotated at `max_size` bytes, `keep` old ones staying. May be
    called again: raises ConfigError, and changes nothing, when the file cannot be written.
    """
    handler = logging.StreamHandler() if file is None else _open(file, max_size, keep, "/server/log/file")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    console = format == "console" or (format == "auto" and file is None and sys.stderr.isatty())
    handler.setFormatter(_formatter(console=console))
    root = logging.getLogger()
    _replace(root, [handler])
    root.setLevel(level.upper())


def configure_audit(*, file: str | None = None, max_size: int = 0, keep: int = 5) -> None:
    """Send the lines of the logger `audit` to a file of their own, as JSON; without `file` to where all others go.

    They are written whatever the log's level. May be called again: raises ConfigError, and changes
    nothing, when the file cannot be written.
    """
    handlers = [] if file is None else [_open(file, max_size, keep, "/server/audit/file")]
    for handler in handlers:
        handler.setFormatter(_formatter(console=False))
    logger = logging.getLogger("eventstream.audit")
    _replace(logger, handlers)
    logger.propagate = not handlers
    logger.setLevel(logging.INFO)


def _shared() -> list[Any]:
    return [
        _add_origin,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # the plain kind: others print the values of variables
    ]


def _formatter(*, console: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(console=console)],
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],  # plugins log by the standard library
    )


def _replace(logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
    before, logger.handlers[:] = list(logger.handlers), handlers
    for old in before:
        old.close()


def _open(file: str, max_size: int, keep: int, pointer: str) -> logging.Handler:
    try:
        return SharedFile(file, max_size=max_size, keep=keep)
    except OSError as error:
        hint = "name a file in a folder that exists and that this user may write"
        raise ConfigError([Problem(f"cannot write the log {file}: {error.strerror}", pointer, hint)]) from None


def _renderer(*, console: bool) -> Any:
    if not console:
        return structlog.processors.JSONRenderer()  # ASCII: no line end of Unicode's, no reversed text of a stranger's
    return structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback,
        repr_native_str=True,  # what a stranger sent does not reach the terminal as it is
        colors=sys.stderr.isatty(),
    )


def _add_origin(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line.setdefault("pid", os.getpid())
    current = request_id.get()
    if current:
        line.setdefault("request_id", current)
    return line
