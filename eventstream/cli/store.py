"""Opening a configuration's store from a command, beside a running server or without one."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from eventstream.cli.check import DEFAULT_FILE
from eventstream.components.key import Key
from eventstream.components.ledger import Ledger
from eventstream.components.store import Store
from eventstream.config.build import load_settings
from eventstream.config.loader import read_text
from eventstream.errors import ConfigError, Problem


class PlainServices:
    """`Services` for a store alone, without an event loop."""

    store: Store
    ledger: Ledger

    def __init__(self, folder: str, keys: Mapping[str, Key]) -> None:
        """Relative paths start at `folder`."""
        self.folder = folder
        self.keys: Mapping[str, Any] = keys
        self.workers = 1

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run it here."""
        return call()

    def pause(self) -> None:
        """Do nothing: nobody else runs here."""

    def count(self, what: str, amount: float = 1) -> None:
        """Do nothing: a command shows no metrics."""

    def now(self) -> float:
        """Return wall time in Unix seconds."""
        return time.time()


def config_argument(parser: ArgumentParser) -> None:
    """Declare `--config`."""
    text = f"configuration whose store is meant (default: {DEFAULT_FILE})"
    parser.add_argument("--config", default=DEFAULT_FILE, metavar="FILE", help=text)


@contextmanager
def open_store(arguments: Namespace, *, read_only: bool) -> Iterator[Store]:
    """Open the store of `--config`; raises ConfigError or StoreBusy.

    With `read_only` nothing is written and no epoch begins: it takes no part in the store's life.
    """
    file = arguments.config
    settings = load_settings(read_text(file), file, arguments.catalogue, os.environ)
    store = settings.store
    if not store.shared:
        hint = "these commands work on a store that other processes can open, such as sqlite"
        raise ConfigError([Problem(f"store {store.name} lives in the server's own memory", "/store", hint, file)])
    store.read_only = read_only
    store.open(PlainServices(settings.folder, settings.keys))
    try:
        yield store
    finally:
        store.close()
