"""`eventstream schema`: the editor's schema of the configuration."""

from __future__ import annotations

import sys
from argparse import Namespace

from eventstream.components.command import Command
from eventstream.config.schema import file_schema, render


class Schema(Command):
    """Print the JSON Schema of the configuration, with all installed components.

    An editor uses it by the file's first line: # yaml-language-server: $schema=schemas/pipelines.schema.json
    """

    name = "schema"

    def run(self, arguments: Namespace) -> int:
        """Print the schema."""
        sys.stdout.write(render(file_schema(arguments.catalogue)))
        return 0
