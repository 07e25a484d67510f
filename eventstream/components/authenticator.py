"""Authenticators: they tell who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from eventstream.components.component import Component
from eventstream.components.identity import Identity
from eventstream.components.step import Request


class Authenticator(Component):
    """Tells who asks. Those of `auth.chain` are asked in turn until one knows the credential."""

    challenge: ClassVar[str] = ""  # for WWW-Authenticate, e.g. `Bearer`; empty: this credential cannot be asked for
    scheme: ClassVar[Mapping[str, Any]] = {}  # an OpenAPI security scheme
    ambient: ClassVar[bool] = False  # browsers send it on their own (a client certificate): not asked where `foreign`

    def authenticate(self, request: Request) -> Identity | None:
        """Return who asks, or None when the request carries no credential of this kind.

        Raises Reject 401 for a credential that is not good: one text for the sender, the reason in `private`.
        """
        raise NotImplementedError
