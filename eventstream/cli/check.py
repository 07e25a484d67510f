"""`eventstream check`: judge a configuration without starting anything."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from eventstream.components.command import Command
from eventstream.config.build import load_settings
from eventstream.config.loader import read_text
from eventstream.config.report import FORMATS, count, errors_in, render_problems
from eventstream.errors import ConfigError

DEFAULT_FILE = "pipelines.yaml"


class Check(Command):
    """Report every problem of a configuration with its place; exit 1 when there is an error."""

    name = "check"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and the form of the report."""
        parser.add_argument("file", nargs="?", default=DEFAULT_FILE, metavar="FILE", help=f"default: {DEFAULT_FILE}")
        parser.add_argument("--format", choices=FORMATS, default="text", help="form of the report")

    def run(self, arguments: Namespace) -> int:
        """Check; warnings alone leave the exit status 0."""
        try:
            text = read_text(arguments.file)
            problems = load_settings(text, arguments.file, arguments.catalogue, os.environ).warnings
        except ConfigError as error:
            problems = error.problems
        sys.stdout.write(render_problems(problems, arguments.format))
        if arguments.format == "text":
            print(f"{arguments.file}: {count(problems) or 'no problems'}")
        return 1 if errors_in(problems) else 0
