"""Opening a configuration's store from a command, beside a running server or without one."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from eventstream.cli.check import DEFAULT_FILE
from eventstream.components.key import Keys
from eventstream.components.keyring import Keyring, LiveKeys
from eventstream.components.ledger import Ledger
from eventstream.components.store import Store
from eventstream.config.build import load_settings
from eventstream.config.keys import load_keyring
from eventstream.config.loader import read_text
from eventstream.errors import ConfigError, Problem
from eventstream.hooks.catalogue import Catalogue
from eventstream.runtime.at_rest import sealed_if


class PlainServices:
    """`Services` for a store alone, without an event loop."""

    store: Store
    ledger: Ledger

    def __init__(self, folder: str, keys: Keys) -> None:
        """Relative paths start at `folder`."""
        self.folder = folder
        self.keys = keys
        self.keyring: Keyring | None = None
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
def open_store(arguments: Namespace, *, read_only: bool, readable: bool = False) -> Iterator[Store]:
    """Open the store of `--config`; raises ConfigError or StoreBusy.

    With `read_only` nothing is written and no epoch begins: it takes no part in the store's life. With
    `readable` events are sealed and opened where the store seals them at rest, which takes its keys.
    """
    file = arguments.config
    settings = load_settings(read_text(file), file, arguments.catalogue, os.environ)
    store = settings.store
    if not store.shared:
        hint = "these commands work on a store that other processes can open, such as sqlite"
        raise ConfigError([Problem(f"store {store.name} lives in the server's own memory", "/store", hint, file)])
    store.read_only = read_only
    services = PlainServices(settings.folder, Keys(settings.keys))
    with ExitStack() as closing:
        if readable and settings.at_rest is not None:
            store = sealed_if(store, settings.at_rest)
            if settings.keyring is not None:
                closing.callback(settings.keyring.close)
                settings.keyring.open(services)
                services.keys = LiveKeys(settings.keys, settings.keyring)
        closing.callback(store.close)
        store.open(services)
        yield store


def find_keyring(catalogue: Catalogue, file: str) -> tuple[Keyring, PlainServices]:
    """Return the keyring of a configuration, and what to open it with; raises ConfigError.

    Only that section is judged. The keyring works beside a running server; it is told of no ledger.
    """
    keyring, folder = load_keyring(read_text(file), file, catalogue, os.environ)
    if keyring is None:
        hint = "for example keyring: {file: {path: keys/keyring.json, master_file: keys/master.key}}"
        raise ConfigError([Problem("there is no section keyring", "/keyring", hint, file)])
    return keyring, PlainServices(folder, Keys())
