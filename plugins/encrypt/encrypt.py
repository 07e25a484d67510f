"""The step `encrypt`: seal an event's data for its readers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar

from nacl.exceptions import CryptoError

from eventstream import (
    Config,
    Context,
    Event,
    Key,
    Keys,
    Meta,
    Outcome,
    Problem,
    Reject,
    Services,
    Step,
)

from .envelope import WRAPPINGS, ContentKey, Recipient, new_content_key, plaintext_of, seal

PURPOSES = ("", "seal")
OFFLOAD_FROM = 256 * 1024  # bytes of plaintext from which the cipher leaves the event loop
PAUSE_EVERY = 64  # events of a batch
REUSE_FOR = 60.0  # seconds that a content key serves new events for the same readers


class EncryptConfig(Config, frozen=True):
    """Options of `encrypt`."""

    to: Annotated[
        list[str],
        Meta(
            description="Owners or ids of keys of kind `curve25519` (public halves suffice) or `secret`: those who "
            "may open the event.",
            min_length=1,
            examples=[["warehouse"], ["warehouse", "audit"]],
        ),
    ]
    readers: Annotated[
        int, Meta(description="Most keys that one event is sealed for.", ge=1, le=256, examples=[32])
    ] = 32

    def __post_init__(self) -> None:
        if len(set(self.to)) != len(self.to):
            raise ValueError("to: a name stands twice")


class EncryptStep(Step):
    """Seal the event's data so that only its readers open it; the server cannot.

    `data` becomes an envelope (version 1): XChaCha20-Poly1305 under a content key, which is wrapped for
    every reader's key: in a libsodium sealed box for a `curve25519` key, by XChaCha20-Poly1305 under a
    `secret` one. Readers are all active keys of those named in `to` whose purpose is `seal` or open: a key
    that is registered, rotated or revoked while the server runs counts from the next event on.

    `datacontenttype` becomes `application/vnd.eventstream-envelope+json`; the former one, `dataschema` and
    a producer's `signature` are sealed with the data. All other attributes stay readable, so put nothing
    secret in them, and are bound to the envelope, so change none behind this step. `validate` stands
    before it, `sign` behind it. Events for the same readers share a content key for up to a minute.

    Errors: 503 (`no_key`) while no named reader has a key, or all of them more than `readers`. A name
    without a key beside others that have one is counted (`encrypt_without_reader`).
    """

    name = "encrypt"
    Config = EncryptConfig
    config: EncryptConfig
    fail_closed = True
    examples: ClassVar[list[Any]] = [{"to": ["warehouse"]}, {"to": ["warehouse", "audit", "archive"], "readers": 8}]

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the named keys: known, of the right kind, usable."""
        for index, name in enumerate(self.config.to):
            pointer = f"/to/{index}"
            trouble = keys.trouble(name, WRAPPINGS, pointer)
            if trouble is not None:
                yield trouble
            for key in keys.of(name):
                if key.kind == "curve25519" and not _is_usable(key):
                    yield Problem(f"key {key.kid} is no usable Curve25519 public key", pointer)

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._services = services
        self._now: Callable[[], float] = services.now
        self._content_key: ContentKey | None = None
        self._made = 0.0
        self._made_for: list[Recipient] = []

    def process(self, event: Event, context: Context) -> Event:
        """Return the event with its data sealed."""
        return self._seal(event, self._current_key())

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Seal all events under one content key."""
        if not events:
            return []
        content_key = self._current_key()
        outcomes: list[Outcome] = []
        for index, event in enumerate(events, 1):
            outcomes.append(self._seal(event, content_key))
            if index % PAUSE_EVERY == 0:
                self._services.pause()
        return outcomes

    def _seal(self, event: Event, content_key: ContentKey) -> Event:
        plaintext = plaintext_of(event)
        if len(plaintext) < OFFLOAD_FROM:
            return seal(event, plaintext, content_key)
        sealed: Event = self._services.offload(lambda: seal(event, plaintext, content_key))
        return sealed

    def _current_key(self) -> ContentKey:
        """Return a content key for those who may read now; raises Reject."""
        now = self._now()
        recipients = self._recipients(now)
        if self._content_key is None or recipients != self._made_for or not 0 <= now - self._made < REUSE_FOR:
            self._content_key, self._made, self._made_for = self._new_key(recipients), now, recipients
        return self._content_key

    def _recipients(self, now: float) -> list[Recipient]:
        found: dict[str, Recipient] = {}
        for name in self.config.to:
            usable = [key for key in self._services.keys.of(name) if _is_reader(key, now)]
            if not usable:
                self._services.count("encrypt_without_reader")
            found.update({key.kid: Recipient(key.kid, WRAPPINGS[key.kind], _half(key)) for key in usable})
        if not found:
            raise _no_key(f"none of {', '.join(self.config.to)} has a key to seal for")
        if len(found) > self.config.readers:
            raise _no_key(f"{len(found)} keys of readers, {self.config.readers} allowed")
        return list(found.values())

    def _new_key(self, recipients: Sequence[Recipient]) -> ContentKey:
        try:
            if len(recipients) <= 2:  # 0.2 ms
                return new_content_key(recipients)
            made: ContentKey = self._services.offload(lambda: new_content_key(recipients))
        except CryptoError:  # a point of small order that came into the keyring unjudged
            raise _no_key("a reader's key is no usable Curve25519 public key") from None
        return made


def _is_reader(key: Key, now: float) -> bool:
    return key.kind in WRAPPINGS and key.purpose in PURPOSES and key.in_use(now) and bool(_half(key))


def _half(key: Key) -> bytes:
    return key.public if key.kind == "curve25519" else key.private


def _is_usable(key: Key) -> bool:
    try:
        new_content_key([Recipient(key.kid, "sealed-box", key.public)])
    except (CryptoError, ValueError, TypeError):
        return False
    return True


def _no_key(private: str) -> Reject:
    return Reject("events cannot be encrypted now", 503, "no_key", headers={"Retry-After": "5"}, private=private)
