"""Commands: verbs of the `eventstream` program."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import ClassVar


class Command:
    """A verb of the `eventstream` program. The docstring's first line is its help."""

    name: ClassVar[str]

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""

    def run(self, arguments: Namespace) -> int:
        """Do it and return the exit status. A ConfigError or EventStreamError is printed without a traceback.

        `arguments.catalogue` holds what the installed plugins offer. `arguments.keyring(file)` returns the
        keyring of a configuration, and the services to open it with; raises ConfigError when it has none.
        """
        raise NotImplementedError
