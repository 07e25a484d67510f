"""gunicorn's messages, through our structured log."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger


class GunicornLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Writes to the standard library's logger and leaves handlers alone."""

    def setup(self, cfg: Any) -> None:
        """Let lines go up to the root logger, which is set up already."""
        self.error_log.propagate = True
        self.error_log.handlers.clear()
        self.access_log.handlers.clear()

    def reopen_files(self) -> None:
        """Do nothing: our handler follows its file by itself."""

    def close_on_exec(self) -> None:
        """Do nothing: Python's files are not inherited."""
