"""The step `sign`: the server's own signature inside each event, for whoever gets it."""

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair

from eventstream import (
    SIGNATURE,
    SIGNATURE_KEY,
    Config,
    Context,
    Event,
    JsonError,
    Key,
    Keys,
    Meta,
    Problem,
    Reject,
    Services,
    Step,
    canonical_event,
    hookimpl,
)

KIND = "ed25519"
PURPOSES = ("", "sign")
SEED_SIZE = 32
OFFLOAD_FROM = 256 * 1024  # bytes from which signing leaves the event loop


class SignConfig(Config, frozen=True):
    """Options of `sign`."""

    key: Annotated[
        str,
        Meta(
            description="Owner or id of a key of kind `ed25519` with its private half and the purpose `sign` or none.",
            examples=["server"],
        ),
    ]


class SignStep(Step):
    """Sign each event with a key of the server (Ed25519), so that whoever gets it can verify the server's word.

    The signature covers the whole event in its canonical form (RFC 8785), without the two extension
    attributes that it comes in: `signature` (base64) and `signaturekey`, the key's id. A producer's own
    signature is replaced. The newest active key signs; its public half is in `/.well-known/jwks.json`
    (route `jwks`), where retiring keys stay until nothing they signed has to be verified.

    It stands last, just before `persist`: whatever changes the event behind it breaks the signature. With
    `encrypt` before it, everybody verifies the sealed event and only its readers open it.

    Errors: 503 (`no_key`) while there is no active key; 422 (`canonical`) for numbers that not every
    reader holds alike: integers beyond 2^53 - 1.
    """

    name = "sign"
    Config = SignConfig
    config: SignConfig
    fail_closed = True
    last = True
    examples: ClassVar[list[Any]] = [{"key": "server"}]

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the named key: known, of the right kind, with a private half."""
        trouble = keys.trouble(self.config.key, [KIND], "/key")
        if trouble is not None:
            yield trouble
        elif not keys.open and not any(key.private for key in keys.of(self.config.key)):
            hint = f"keep it in a keyring: eventstream keys new {KIND} --owner {self.config.key} --purpose sign"
            yield Problem(f"key {self.config.key} is a public half only, which cannot sign", "/key", hint)

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._services = services

    def process(self, event: Event, context: Context) -> Event:
        """Return the event signed; raises Reject."""
        return self._sign(event, self._current_key())

    def _current_key(self) -> Key:
        now = self._services.now()
        for key in self._services.keys.of(self.config.key):
            if key.kind == KIND and key.purpose in PURPOSES and key.in_use(now) and len(key.private) == SEED_SIZE:
                return key
        private = f"no active {KIND} key of {self.config.key} with a private half"
        raise Reject("events cannot be signed now", 503, "no_key", headers={"Retry-After": "5"}, private=private)

    def _sign(self, event: Event, key: Key) -> Event:
        try:
            message = canonical_event(event)
        except JsonError as error:
            raise Reject(f"the event cannot be signed: {error}", 422, "canonical") from None
        secret = _secret_key(key.private)
        if len(message) < OFFLOAD_FROM:
            signature = _signature(message, secret)
        else:
            signature = self._services.offload(lambda: _signature(message, secret))
        signed = {SIGNATURE: base64.b64encode(signature).decode(), SIGNATURE_KEY: key.kid}
        return event.replace(extensions={**event.extensions, **signed})


def _signature(message: bytes, secret: bytes) -> bytes:
    return crypto_sign(message, secret)[:crypto_sign_BYTES]


@lru_cache(maxsize=16)
def _secret_key(seed: bytes) -> bytes:
    return bytes(crypto_sign_seed_keypair(seed)[1])


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `sign`."""
    return [SignStep]
