"""`eventstream status`: ask a running server, over its admin socket, what it runs."""

from __future__ import annotations

import json
import os
import socket
from argparse import ArgumentParser, Namespace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from eventstream.cli.store import config_argument
from eventstream.components.command import Command
from eventstream.config.build import load_settings
from eventstream.config.loader import read_text
from eventstream.errors import ConfigError, EventStreamError
from eventstream.server.admin import admin_path

SECONDS = 10.0  # given to a server to answer


class Status(Command):
    """Show what the running server runs: its generation, and what became of the last reload.

    Exit 1 when no server answers, or one that is not ready.
    """

    name = "status"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        config_argument(parser)
        parser.add_argument("--socket", metavar="PATH", help="the server's admin.sock, instead of --config")

    def run(self, arguments: Namespace) -> int:
        """Print JSON."""
        path = arguments.socket or str(_find(arguments))
        status, ready = _ask(path, "/-/ready")
        _, running = _ask(path, "/-/config")
        print(json.dumps(running | ready, indent=2, ensure_ascii=False))
        return 0 if status == 200 else 1


def _find(arguments: Namespace) -> Path:
    file = arguments.config
    try:
        path = admin_path(load_settings(read_text(file), file, arguments.catalogue, os.environ))
    except ConfigError as error:  # the server runs what the file said before
        raise EventStreamError(f"{error}\n{file} is faulty: name the running server's socket by --socket") from None
    if path is None:
        raise EventStreamError(f"the store of {file} keeps no folder, so its server has no admin socket")
    return path


def _ask(path: str, target: str) -> tuple[int, dict[str, Any]]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except OSError as error:
        raise EventStreamError(f"no server answers at {path}: {error.strerror or error}") from None
    else:
        return response.status, answer
    finally:
        connection.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)
