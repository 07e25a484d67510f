"""`eventstream serve`: run the server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eventstream.cli.check import DEFAULT_FILE
from eventstream.components.command import Command


class Serve(Command):
    """Serve the pipelines of a configuration file.

    Signals: TERM stops after the requests and streams under way; HUP reloads the file, or changes
    nothing when it is faulty; USR2 starts the program anew beside this one, for an upgrade.
    """

    name = "serve"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help=f"configuration (default: {DEFAULT_FILE})")
        parser.add_argument("--bind", metavar="HOST:PORT", help="listen here, whatever the file says")
        parser.add_argument("--workers", type=int, metavar="N", help="worker processes, whatever the file says")

    def run(self, arguments: Namespace) -> int:
        """Serve until stopped by a signal."""
        # The other commands need neither gunicorn nor gevent.
        from eventstream.server.run_folder import run_folder  # noqa: PLC0415
        from eventstream.server.service import Service  # noqa: PLC0415

        overrides = {"bind": arguments.bind, "workers": arguments.workers}
        with run_folder() as folder:
            Service(arguments.file, arguments.drop_ins, overrides, folder).run()
        return 0
