"""Keys that are made, rotated, revoked and expire while the server runs: keyring, command, public document."""

from collections.abc import Sequence

from eventstream import Command, Keyring, Route, hookimpl

from .command import KeysCommand
from .file import FileKeyring
from .jwks import JwksRoute


@hookimpl
def eventstream_keyrings() -> Sequence[type[Keyring]]:
    """Offer `file`."""
    return [FileKeyring]


@hookimpl
def eventstream_commands() -> Sequence[type[Command]]:
    """Offer `keys`."""
    return [KeysCommand]


@hookimpl
def eventstream_routes() -> Sequence[type[Route]]:
    """Offer `jwks`."""
    return [JwksRoute]
