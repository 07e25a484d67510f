"""Encryption at rest: what seals the data of stored events, and the options that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from eventstream.components.component import Component, Config, Meta


class Cipher(Component):
    """Authenticated encryption under keys of 32 bytes. It keeps nothing between two calls."""

    def seal(self, key: bytes, plaintext: bytes, bound: bytes) -> bytes:
        """Return `plaintext` sealed; it opens only together with the same `bound`."""
        raise NotImplementedError

    def unseal(self, key: bytes, sealed: bytes, bound: bytes) -> bytes:
        """Return the plaintext; raises ValueError for another key, another `bound`, or anything altered."""
        raise NotImplementedError


class AtRestConfig(Config, frozen=True):
    """Encryption at rest: the data of events is sealed in the store; their attributes stay readable."""

    key: Annotated[
        str,
        Meta(
            description="Owner or id of a key of kind `secret` with the purpose `at-rest` or none. The newest active "
            "one seals; older ones go on opening what they sealed, until they are revoked.",
            examples=["disk"],
        ),
    ]
    cipher: Annotated[str, Meta(description="An installed cipher.", examples=["xchacha20poly1305"])] = (
        "xchacha20poly1305"
    )


@dataclass(frozen=True, slots=True)
class AtRest:
    """How a store's events are sealed: by which cipher, under whose key."""

    key: str
    cipher: Cipher
