"""Tickets and sessions for those who cannot send headers: `EventSource` and `WebSocket` in a browser."""

from collections.abc import Sequence

from eventstream import Authenticator, Route, hookimpl

from .authenticator import TicketAuthenticator
from .route import TicketsRoute


@hookimpl
def eventstream_authenticators() -> Sequence[type[Authenticator]]:
    """Offer `ticket`."""
    return [TicketAuthenticator]


@hookimpl
def eventstream_routes() -> Sequence[type[Route]]:
    """Offer `tickets`."""
    return [TicketsRoute]
