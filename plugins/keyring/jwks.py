"""The route `jwks`: our public signing keys, for those who verify what this server signs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from eventstream import Config, Duration, Key, Meta, Request, Response, Right, Route, Services, encode_json

from .jwk import to_jwk

PURPOSES = ("", "sign")


class JwksConfig(Config, frozen=True):
    """Options of `jwks`."""

    path: Annotated[str, Meta(description="Where it answers.", pattern="^/")] = "/.well-known/jwks.json"
    max_age: Annotated[Duration, Meta(description="How long others may cache the answer.", examples=["1m"])] = Duration(
        60
    )


class JwksRoute(Route):
    """Show the server's public signing keys as a JWK Set (RFC 7517), to everybody.

    It holds the Ed25519 keys of the keyring whose private half is here, of purpose `sign` or none, newest
    first, also retiring ones; not those that are revoked, expired or not yet valid.
    """

    name = "jwks"
    Config = JwksConfig
    config: JwksConfig
    right: ClassVar[Right | None] = None
    examples: ClassVar[list[Any]] = [{}]
    answers: ClassVar[Mapping[int, str]] = {200: "application/jwk-set+json"}

    def __init__(self, config: JwksConfig) -> None:
        super().__init__(config)
        self.path = config.path

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._services = services

    def handle(self, request: Request) -> Response:
        """Answer with the keys that count now."""
        now = self._services.now()
        keys = [to_jwk(key) for key in self._services.keys.all() if _ours(key) and key.accepted(now)]
        headers = {
            "content-type": "application/jwk-set+json",
            "cache-control": f"public, max-age={self.config.max_age:.0f}",
            "access-control-allow-origin": "*",
        }
        return Response(200, headers, encode_json({"keys": keys}))


def _ours(key: Key) -> bool:
    return key.kind == "ed25519" and bool(key.private) and key.purpose in PURPOSES
