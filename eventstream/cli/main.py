"""The `eventstream` program: finds plugins, then runs one command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from gevent import events, monkey

from eventstream.cli.backup import Backup
from eventstream.cli.check import Check
from eventstream.cli.export import Export
from eventstream.cli.import_ import Import
from eventstream.cli.list import List
from eventstream.cli.revoke import Revoke
from eventstream.cli.schema import Schema
from eventstream.cli.serve import Serve
from eventstream.cli.status import Status
from eventstream.cli.store import find_keyring
from eventstream.cli.verify_log import VerifyLog
from eventstream.components.command import Command
from eventstream.errors import ConfigError, EventStreamError, Problem
from eventstream.hooks.catalogue import Catalogue, build_catalogue
from eventstream.hooks.manager import load_plugins

BUILT_IN: tuple[type[Command], ...] = (Backup, Check, Export, Import, List, Revoke, Schema, Serve, Status, VerifyLog)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 well, 1 refused, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "serve" in words:
        # Before any plugin is imported: a lock made from the unpatched threading would stop a whole worker.
        # gevent would look for plugins of its own, 25 times in all that is installed: 30 to 150 ms. None is asked.
        events.notify_and_call_entry_points = events.notify
        monkey.patch_all()
    try:
        drop_ins, words = _take_plugins(words)
        catalogue = build_catalogue(load_plugins(drop_ins))
        commands = _commands(catalogue)
        given = argparse.Namespace(catalogue=catalogue, drop_ins=drop_ins, keyring=partial(find_keyring, catalogue))
        arguments = _parser(commands).parse_args(words, given)
        return commands[arguments.command].run(arguments)
    except EventStreamError as error:
        print(f"eventstream: {error}" if not isinstance(error, ConfigError) else str(error), file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has left: there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _take_plugins(words: list[str]) -> tuple[list[str], list[str]]:
    """Take `--plugin PATH` out of the words, wherever it stands: plugins bring commands of their own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--plugin", action="append", default=[])
    found, rest = parser.parse_known_args(words)
    from_environment = [path for path in os.environ.get("EVENTSTREAM_PLUGINS", "").split(os.pathsep) if path]
    return from_environment + found.plugin, rest


def _commands(catalogue: Catalogue) -> dict[str, Command]:
    commands = {command.name: command() for command in BUILT_IN}
    for name, offer in catalogue.offers["command"].items():
        if name in commands:
            problem = f"command {name} is built in, and offered by {offer.plugin}"
            raise ConfigError([Problem(problem, hint="the plugin must use another name")])
        commands[name] = offer.component()
    return commands


def _parser(commands: dict[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("eventstream", description="Event pipeline server.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"eventstream {version('eventstream')}")
    parser.add_argument(
        "--plugin",
        action="append",
        metavar="PATH",
        help="load a plugin from one Python file; may be repeated (also: EVENTSTREAM_PLUGINS)",
    )
    verbs = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in sorted(commands.items()):
        text = (command.__doc__ or "").strip().replace("%", "%%")
        verb = verbs.add_parser(name, help=text.partition("\n")[0], description=text, allow_abbrev=False)
        command.arguments(verb)
    return parser
