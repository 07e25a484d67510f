"""`eventstream serve`: run the server."""

from __future__ import annotations

import os
import shutil
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from eventstream.cli.check import DEFAULT_FILE
from eventstream.components.command import Command


class Serve(Command):
    """Serve the pipelines of a configuration file."""

    name = "serve"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help=f"configuration (default: {DEFAULT_FILE})")
        parser.add_argument("--bind", metavar="HOST:PORT", help="listen here, whatever the file says")
        parser.add_argument("--workers", type=int, metavar="N", help="worker processes, whatever the file says")

    def run(self, arguments: Namespace) -> int:
        """Serve until stopped by a signal; SIGHUP reloads."""
        # The other commands need neither gunicorn nor gevent.
        from eventstream.server.arbiter import Service, running  # noqa: PLC0415
        from eventstream.telemetry import log as logging  # noqa: PLC0415

        overrides = {"bind": arguments.bind, "workers": arguments.workers}
        owner = os.getpid()
        folder = tempfile.mkdtemp(prefix="eventstream-", dir=_memory_folder())
        try:
            service = Service(arguments.file, _drop_ins(arguments), overrides, folder)
            server = service.generation.settings.server
            logging.configure(
                level=server.log.level, format=server.log.format, file=server.log.file,
                max_size=server.log.max_size, keep=server.log.keep,
            )  # fmt: skip
            log = logging.get_logger("server")
            for warning in service.generation.settings.warnings:
                log.warning("configuration", problem=str(warning))
            log.info("starting", **running(service.generation))
            service.run()
        finally:
            if os.getpid() == owner:  # a worker leaves through here too
                shutil.rmtree(folder, ignore_errors=True)
        return 0


def _drop_ins(arguments: Namespace) -> Sequence[str]:
    found: Sequence[str] = arguments.drop_ins
    return found


def _memory_folder() -> str | None:
    """Return a folder in memory for the metrics' files, which are written on every tick."""
    shared = "/dev/shm"  # noqa: S108  # mkdtemp makes a private folder inside
    return shared if Path(shared).is_dir() and os.access(shared, os.W_OK) else None
