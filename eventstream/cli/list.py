"""`eventstream list`: what is installed, and from where."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from eventstream.components.command import Command
from eventstream.config.schema import summary
from eventstream.hooks.catalogue import Catalogue


class List(Command):
    """List every installed component: kind, name, what it does, where it comes from."""

    name = "list"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare the form of the list."""
        parser.add_argument("--format", choices=("text", "json"), default="text", help="form of the list")

    def run(self, arguments: Namespace) -> int:
        """Print the list."""
        rows = _rows(arguments.catalogue)
        if arguments.format == "json":
            names = ("kind", "name", "summary", "origin")
            print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
            return 0
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for kind, name, what, origin in rows:
            print(f"{kind:{widths[0]}}  {name:{widths[1]}}  {what:{widths[2]}}  {origin}")
        return 0


def _rows(catalogue: Catalogue) -> list[tuple[str, str, str, str]]:
    return [
        (kind, name, summary(offer), offer.origin)
        for kind, offers in catalogue.offers.items()
        for name, offer in sorted(offers.items())
    ]
