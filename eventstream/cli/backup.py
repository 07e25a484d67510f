"""`eventstream backup`: a consistent copy of the store, while it serves."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eventstream.cli.store import config_argument, open_store
from eventstream.components.command import Command


class Backup(Command):
    """Copy the store to a new file, also while it serves.

    The copy holds every event acknowledged before the command began. A server started on it begins a
    new epoch: subscribers that had seen more than the copy holds are told so by a gap.
    """

    name = "backup"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("path", metavar="PATH", help="the new file")
        config_argument(parser)

    def run(self, arguments: Namespace) -> int:
        """Copy."""
        with open_store(arguments, read_only=True) as store:
            store.backup(arguments.path)
        return 0
