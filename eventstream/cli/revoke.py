"""`eventstream revoke`: a credential, or everything of one identity, counts no more."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from eventstream.cli.store import config_argument, open_store
from eventstream.components.command import Command
from eventstream.components.component import Duration
from eventstream.errors import EventStreamError
from eventstream.runtime import revocations


class Revoke(Command):
    """Let a credential, or everything of one identity, count no more.

    `token:ID`, `key:ID`, `certificate:HASH`, `session:HASH` and `ticket:HASH` are credentials; anything else is
    the name of an identity (also `name:NAME`). Requests are refused and streams end within a second, in every
    worker of the server. Works beside a running server and without one. A key of the keyring is revoked for good
    by `keys revoke`.
    """

    name = "revoke"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("credential", metavar="CREDENTIAL", help="a credential, or an identity's name")
        text = f"how long, at least as long as the credential lives (default: {revocations.DEFAULT.written()})"
        parser.add_argument(
            "--for", dest="seconds", type=_duration, default=revocations.DEFAULT, metavar="TIME", help=text
        )
        config_argument(parser)

    def run(self, arguments: Namespace) -> int:
        """Write it into the ledger, where every worker learns of it."""
        credential = revocations.credential_of(arguments.credential)
        with open_store(arguments, read_only=True) as store:
            ledger = store.open_ledger()
            try:
                revocations.revoke(ledger, credential, arguments.seconds)
            except ValueError as error:
                raise EventStreamError(str(error)) from None
            finally:
                ledger.close()
        print(f"{credential} is revoked for {arguments.seconds.written()}")
        return 0


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
