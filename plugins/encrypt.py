"""The step `encrypt`: seal an event's data for named recipients, and the functions that open it again.

Envelope, version 0. `data` becomes a JSON object with exactly these members (base64 is standard, padded):

    {"eventstream-envelope": 0, "alg": "xchacha20poly1305", "nonce": …, "ciphertext": …,
     "recipients": [{"kid": name, "alg": "sealed-box" | "shared", "key": the wrapped content key}]}

The content key (32 random bytes) is wrapped for each recipient: `sealed-box` is libsodium's
crypto_box_seal to a Curve25519 key, `shared` its crypto_secretbox under a shared key. The ciphertext is
XChaCha20-Poly1305 (IETF) over the JSON object `{data | data_base64, datacontenttype?, dataschema?}`.
Its associated data is the compact JSON array

    ["eventstream-envelope", 0, alg, id, source, type, [[kid, alg, key], …]]

in UTF-8, so nothing of the envelope, and neither id, source nor type, can be changed unnoticed. Other
attributes stay in the clear and are not covered.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.utils import random

from eventstream import (
    UNSET,
    Config,
    ConfigError,
    Context,
    Event,
    EventStreamError,
    Key,
    Meta,
    Outcome,
    Problem,
    Services,
    Step,
    hookimpl,
)

VERSION = 0
MARK = "eventstream-envelope"
ALG = "xchacha20poly1305"
MEDIA_TYPE = "application/vnd.eventstream-envelope+json"
KEY_SIZE = 32
NONCE_SIZE = 24
OFFLOAD_FROM = 256 * 1024  # bytes of plaintext from which the cipher leaves the event loop
PAUSE_EVERY = 64  # events of a batch
_sorted = msgspec.json.Encoder(order="sorted")

Wrapping = Literal["sealed-box", "shared"]
KINDS: dict[str, Wrapping] = {"curve25519": "sealed-box", "secret": "shared"}


class EnvelopeError(EventStreamError):
    """An envelope does not open: not ours, not for this key, or altered."""


class Recipient(NamedTuple):
    """Who can open an envelope: the key's name, how the content key is wrapped, and the 32 bytes for it."""

    kid: str
    alg: Wrapping
    key: bytes  # a Curve25519 public key for `sealed-box`, the shared key for `shared`

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Recipient({self.kid!r}, {self.alg!r})"


class ContentKey(NamedTuple):
    """A content key and its wrappings; serves the events of one request."""

    key: bytes
    recipients: list[dict[str, str]]

    def __repr__(self) -> str:
        """Leave the key out."""
        return "ContentKey()"


def new_content_key(recipients: Sequence[Recipient]) -> ContentKey:
    """Make a content key and wrap it for each recipient. About 100 µs for each sealed box."""
    key = random(KEY_SIZE)
    wrapped = [{"kid": one.kid, "alg": one.alg, "key": _encode(_wrap(one, key))} for one in recipients]
    return ContentKey(key, wrapped)


def seal(event: Event, content_key: ContentKey) -> Event:
    """Return the event with its data (and what describes the data) sealed in an envelope."""
    return _seal(event, _plaintext(event), content_key)


def _seal(event: Event, plaintext: bytes, content_key: ContentKey) -> Event:
    nonce = random(NONCE_SIZE)
    bound = _bound(event, content_key.recipients)
    ciphertext = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, bound, nonce, content_key.key)
    envelope = {
        MARK: VERSION,
        "alg": ALG,
        "nonce": _encode(nonce),
        "ciphertext": _encode(ciphertext),
        "recipients": content_key.recipients,
    }
    return event.replace(data=envelope, datacontenttype=MEDIA_TYPE, dataschema=None)


def open_envelope(event: Event, kid: str, key: bytes) -> Event:
    """Return the event as it was before `seal`; raises EnvelopeError.

    `key` is the 32-byte Curve25519 private key, or the shared key, of the recipient named `kid`.
    """
    nonce, ciphertext, recipients = _parts(event.data)
    if len(key) != KEY_SIZE:
        raise EnvelopeError(f"a key is {KEY_SIZE} bytes, not {len(key)}")
    mine = next((one for one in recipients if one["kid"] == kid), None)
    if mine is None:
        raise EnvelopeError(f"the envelope is not for {kid}")
    try:
        content_key = _unwrap(mine["alg"], _decode(mine["key"]), key)
        bound = _bound(event, recipients)
        plaintext = crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, bound, nonce, content_key)
    except (CryptoError, ValueError, TypeError):
        raise EnvelopeError("the envelope does not open: wrong key, or altered") from None
    fields = msgspec.json.decode(plaintext)
    data = base64.b64decode(fields["data_base64"]) if "data_base64" in fields else fields.get("data", UNSET)
    return event.replace(data=data, datacontenttype=fields.get("datacontenttype"), dataschema=fields.get("dataschema"))


def _bound(event: Event, recipients: Sequence[Mapping[str, str]]) -> bytes:
    """Return the associated data: an array, so that no two different contexts read alike."""
    wrapped = [[one["kid"], one["alg"], one["key"]] for one in recipients]
    return msgspec.json.encode([MARK, VERSION, ALG, event.id, event.source, event.type, wrapped])


def _plaintext(event: Event) -> bytes:
    fields: dict[str, Any] = {}
    if isinstance(event.data, bytes):
        fields["data_base64"] = _encode(event.data)
    elif event.data is not UNSET:
        fields["data"] = event.data
    for name in ("datacontenttype", "dataschema"):
        value = event.get(name)
        if value is not None:
            fields[name] = value
    return _sorted.encode(fields)


def _wrap(recipient: Recipient, content_key: bytes) -> bytes:
    if recipient.alg == "shared":
        return bytes(SecretBox(recipient.key).encrypt(content_key))
    return SealedBox(PublicKey(recipient.key)).encrypt(content_key)


def _unwrap(alg: str, wrapped: bytes, key: bytes) -> bytes:
    if alg == "shared":
        return SecretBox(key).decrypt(wrapped)
    return SealedBox(PrivateKey(key)).decrypt(wrapped)


def _parts(data: Any) -> tuple[bytes, bytes, list[dict[str, str]]]:
    """Take an envelope apart, strictly: what is not covered by the cipher may not vary either."""
    members = {MARK, "alg", "nonce", "ciphertext", "recipients"}
    if not isinstance(data, dict) or data.keys() != members:
        raise EnvelopeError("the data is not an envelope")
    if type(data[MARK]) is not int or data[MARK] != VERSION or data["alg"] != ALG:  # False and 0.0 equal 0
        raise EnvelopeError(f"the envelope is not of version {VERSION} with {ALG}")
    recipients = data["recipients"]
    if not isinstance(recipients, list) or not all(_is_recipient(one) for one in recipients):
        raise EnvelopeError("the envelope's recipients are malformed")
    return _decode(data["nonce"]), _decode(data["ciphertext"]), recipients


def _is_recipient(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"kid", "alg", "key"}
        and all(isinstance(one, str) for one in value.values())
        and value["alg"] in KINDS.values()
    )


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: Any) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise EnvelopeError("the envelope holds bad base64") from None
    if _encode(raw) != text:
        raise EnvelopeError("the envelope holds base64 with stray bits")
    return raw


class EncryptConfig(Config, frozen=True):
    """Options of `encrypt`. At least one of `to` and `key`."""

    to: Annotated[
        list[str],
        Meta(
            description="Names of keys of kind `curve25519`: public keys of those who may open the event.",
            examples=[["warehouse"], ["warehouse", "audit"]],
        ),
    ] = msgspec.field(default_factory=list)
    key: Annotated[
        str | None,
        Meta(
            description="Name of a key of kind `secret`: 32 bytes, shared with those who may open the event.",
            examples=["archive"],
        ),
    ] = None

    def __post_init__(self) -> None:
        if not self.to and self.key is None:
            raise ValueError("needs a recipient: `to` (names of curve25519 keys) or `key` (the name of a secret key)")
        names = [*self.to, *([self.key] if self.key is not None else [])]
        if len(set(names)) != len(names):
            raise ValueError("to: a key is named twice")


class EncryptStep(Step):
    """Seal the event's data so that only the named keys open it; the server cannot.

    `data` becomes an envelope (version 0): XChaCha20-Poly1305 under a fresh content key, which is wrapped
    for every key in `to` (libsodium sealed boxes) and for the shared `key`. The envelope is bound to the
    event's id, source and type, which must not change afterwards. `datacontenttype` becomes
    `application/vnd.eventstream-envelope+json`; the former one and `dataschema` are sealed with the data.
    All other attributes stay readable: put nothing secret in them. The events of one request share a
    content key. A key that holds several texts (while rotating) is used by its newest.

    Keys are 32 bytes in base64, standard or URL-safe. `eventstream_plugins.encrypt` documents the format
    and has `open_envelope`. Behind this step `validate` sees the envelope, so put it before.

    Errors: none for the producer; a bad key stops the start.
    """

    name = "encrypt"
    Config = EncryptConfig
    config: EncryptConfig
    fail_closed = True
    examples: ClassVar[list[Any]] = [{"to": ["warehouse"]}, {"to": ["warehouse", "audit"], "key": "archive"}]

    def __init__(self, config: EncryptConfig) -> None:
        super().__init__(config)
        self._recipients: list[Recipient] = []

    def check(self, folder: str, keys: Mapping[str, Key]) -> Iterable[Problem]:
        """Judge the named keys: known, of the right kind, 32 usable bytes."""
        return self._load(keys)[1]

    def open(self, services: Services) -> None:
        """Decode the keys."""
        self._recipients, problems = self._load(services.keys)
        if problems:
            raise ConfigError(problems)
        self._services = services

    def process(self, event: Event, context: Context) -> Event:
        """Return the event with its data sealed."""
        return self._seal(event, new_content_key(self._recipients))

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Seal all events under one content key: its wrapping costs more than a small event's cipher."""
        content_key = new_content_key(self._recipients)
        outcomes: list[Outcome] = []
        for index, event in enumerate(events, 1):
            outcomes.append(self._seal(event, content_key))
            if index % PAUSE_EVERY == 0:
                self._services.pause()
        return outcomes

    def _seal(self, event: Event, content_key: ContentKey) -> Event:
        plaintext = _plaintext(event)
        if len(plaintext) < OFFLOAD_FROM:
            return _seal(event, plaintext, content_key)
        sealed: Event = self._services.offload(lambda: _seal(event, plaintext, content_key))
        return sealed

    def _load(self, keys: Mapping[str, Key]) -> tuple[list[Recipient], list[Problem]]:
        wanted = [(f"/to/{index}", name, "curve25519") for index, name in enumerate(self.config.to)]
        if self.config.key is not None:
            wanted.append(("/key", self.config.key, "secret"))
        recipients: list[Recipient] = []
        problems: list[Problem] = []
        for pointer, name, kind in wanted:
            try:
                recipients.append(_recipient(name, kind, keys))
            except ValueError as error:
                problems.append(Problem(str(error), pointer))
        return recipients, problems


def _recipient(name: str, kind: str, keys: Mapping[str, Key]) -> Recipient:
    """Look up and decode a key; raises ValueError that never shows it."""
    key = keys.get(name)
    if key is None:
        raise ValueError(f"there is no key {name}; keys of this configuration: {', '.join(sorted(keys)) or 'none'}")
    if key.kind != kind:
        raise ValueError(f"key {name} is of kind {key.kind}, {kind} is needed here")
    try:
        raw = base64.b64decode(key.texts[0].strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError, IndexError):
        raise ValueError(f"key {name} is not base64") from None
    if len(raw) != KEY_SIZE:
        raise ValueError(f"key {name} is {len(raw)} bytes, {KEY_SIZE} are needed")
    recipient = Recipient(name, KINDS[kind], raw)
    try:
        _wrap(recipient, bytes(KEY_SIZE))
    except CryptoError:  # a point of small order
        raise ValueError(f"key {name} is no usable Curve25519 public key") from None
    return recipient


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `encrypt`."""
    return [EncryptStep]
