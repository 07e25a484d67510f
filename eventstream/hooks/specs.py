"""Every hook a plugin may implement. Offering hooks are pure: they return classes and do nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from eventstream.components.authenticator import Authenticator
    from eventstream.components.cipher import Cipher
    from eventstream.components.command import Command
    from eventstream.components.keyring import Keyring
    from eventstream.components.output import Output, Route
    from eventstream.components.step import Context, Outcome, Step
    from eventstream.components.store import Store
    from eventstream.events.event import Event

PROJECT = "eventstream"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def eventstream_steps() -> Sequence[type[Step]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer steps. Called once at start.

    Example::

        @hookimpl
        def eventstream_steps():
            return [Redact]
    """


@hookspec
def eventstream_stores() -> Sequence[type[Store]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer stores. Called once at start.

    Example::

        @hookimpl
        def eventstream_stores():
            return [PostgresStore]
    """


@hookspec
def eventstream_outputs() -> Sequence[type[Output]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer outputs. Called once at start.

    Example::

        @hookimpl
        def eventstream_outputs():
            return [LongPoll]
    """


@hookspec
def eventstream_routes() -> Sequence[type[Route]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer HTTP resources. Called once at start.

    Example::

        @hookimpl
        def eventstream_routes():
            return [Crypto]
    """


@hookspec
def eventstream_keyrings() -> Sequence[type[Keyring]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer keyrings. Called once at start.

    Example::

        @hookimpl
        def eventstream_keyrings():
            return [VaultKeyring]
    """


@hookspec
def eventstream_ciphers() -> Sequence[type[Cipher]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer ciphers for encryption at rest. Called once at start.

    Example::

        @hookimpl
        def eventstream_ciphers():
            return [AesGcm]
    """


@hookspec
def eventstream_authenticators() -> Sequence[type[Authenticator]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer authenticators. Called once at start.

    Example::

        @hookimpl
        def eventstream_authenticators():
            return [Kerberos]
    """


@hookspec
def eventstream_commands() -> Sequence[type[Command]]:  # type: ignore[empty-body]  # a specification has no body
    """Offer verbs of the `eventstream` program. Called once at start.

    Example::

        @hookimpl
        def eventstream_commands():
            return [Keys]
    """


@hookspec(firstresult=True)
def eventstream_process(  # type: ignore[empty-body]  # a specification has no body
    pipeline: str, events: Sequence[Event], context: Context
) -> list[Outcome]:
    """Run one batch through one pipeline. The server implements it; plugins wrap it to observe.

    Called once per request and pipeline. The steps inside run in the file's own order, which no
    plugin can change. `pipeline` is the pipeline's name; the result has one outcome per event.

    Example::

        @hookimpl(wrapper=True)
        def eventstream_process(pipeline, events, context):
            started = time.perf_counter()
            outcomes = yield
            record(pipeline, len(events), time.perf_counter() - started)
            return outcomes
    """
